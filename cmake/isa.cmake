# The kernels, once per instruction set: src/cpp/kernels/kernels.cpp -> one OBJECT library per set, in namespace rnncore::<set>.
#
# To add a set: one line rnncore_add_kernel_set(<name> <flags>) below, one row in src/cpp/dispatch (see CONTRIBUTING.md).
# Out: RNNCORE_KERNEL_OBJECTS      object files for the extension module
#      RNNCORE_KERNEL_DEFINITIONS  RNNCORE_HAVE_<SET> for dispatch, one per compiled set

include(CheckCXXCompilerFlag)

set(RNNCORE_KERNEL_OBJECTS "")
set(RNNCORE_KERNEL_DEFINITIONS "")

# Per-target flags and not `#pragma GCC target`: g++ 12 leaves __AVX2__ undefined inside the pragma.
# -ffast-math is left out for good: on the link line it makes the whole Python process flush subnormals to zero.
set(RNNCORE_KERNEL_FLAGS
    -fno-exceptions -fno-rtti -fno-math-errno -fno-trapping-math -fvisibility=hidden -ffp-contract=fast
    -Wno-psabi # vectors travel between inlined functions only, so the ABI of wide vectors does not matter
    # On ARM g++ schedules before it allocates registers, loads far ahead of their use, and puts sums of a tile on the
    # stack. On x86 the flag is its default.
    $<$<CXX_COMPILER_ID:GNU>:-fno-schedule-insns>)

function(rnncore_add_kernel_set name)
  set(flags ${ARGN})
  if(flags)
    list(JOIN flags " " joined)
    check_cxx_compiler_flag("${joined}" RNNCORE_COMPILES_${name})
    if(NOT RNNCORE_COMPILES_${name})
      message(STATUS "rnncore: the compiler lacks ${joined}; kernel set ${name} is left out")
      return()
    endif()
  endif()
  add_library(rnncore_kernels_${name} OBJECT "${RNNCORE_SOURCE_ROOT}/kernels/kernels.cpp")
  target_include_directories(rnncore_kernels_${name} PRIVATE "${RNNCORE_SOURCE_ROOT}")
  target_compile_definitions(rnncore_kernels_${name} PRIVATE RNNCORE_ISA=${name})
  target_compile_options(rnncore_kernels_${name} PRIVATE -O3 ${RNNCORE_WARNINGS} ${RNNCORE_KERNEL_FLAGS} ${flags}
                                                         ${RNNCORE_SANITIZE_FLAGS})
  string(TOUPPER ${name} upper)
  list(APPEND RNNCORE_KERNEL_OBJECTS $<TARGET_OBJECTS:rnncore_kernels_${name}>)
  list(APPEND RNNCORE_KERNEL_DEFINITIONS RNNCORE_HAVE_${upper})
  set(RNNCORE_KERNEL_OBJECTS ${RNNCORE_KERNEL_OBJECTS} PARENT_SCOPE)
  set(RNNCORE_KERNEL_DEFINITIONS ${RNNCORE_KERNEL_DEFINITIONS} PARENT_SCOPE)
endfunction()

if(CMAKE_OSX_ARCHITECTURES)
  set(RNNCORE_PROCESSOR "${CMAKE_OSX_ARCHITECTURES}")
else()
  set(RNNCORE_PROCESSOR "${CMAKE_SYSTEM_PROCESSOR}")
endif()

rnncore_add_kernel_set(baseline) # SSE2 on x86-64, NEON on aarch64: what the compiler emits without flags
if(RNNCORE_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(avx2 -mavx2 -mfma)
  set(avx512 ${avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
  rnncore_add_kernel_set(avx2 ${avx2})
  rnncore_add_kernel_set(avx512 ${avx512})
  set(avx512_bf16 ${avx512} -mavx512bf16 -mavx512vnni)
  rnncore_add_kernel_set(avx512_bf16 ${avx512_bf16})
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux") # which has to permit the use of its registers
    rnncore_add_kernel_set(avx512_amx ${avx512_bf16} -mamx-tile -mamx-bf16 -DRNNCORE_AMX)
  endif()
endif()
