// One call at a time, of an object that its calls change.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "bindings/interpreter.hpp"

namespace rnncore::bindings {

// A second call is refused and does not wait. A lock could hang forever: in the child of a fork that happened while
// another thread held it, and in a signal handler that has interrupted the holder itself.
class OneCall {
public:
    // `name` is that of the object, for errors.
    explicit OneCall(const char* name) : name_(name) {}
    OneCall(const OneCall&) = delete;
    OneCall& operator=(const OneCall&) = delete;

    // work() without the interpreter's lock; RuntimeError where any call is going on.
    template <class Work>
    void change(const Work& work) {
        const Change change(*this);
        without_gil(work);
    }

    // work() with the interpreter's lock; RuntimeError where a change is going on. Any number of threads may read. So
    // may a signal handler, inside the change that it interrupts: those look for signals between two steps.
    template <class Work>
    void read(const Work& work) const {
        const Read read(*this);
        work();
    }

private:
    static constexpr std::uint64_t kNobody = 0;

    // Unlike the system's, this number is not given again, nor in a forked child.
    static std::uint64_t this_thread() { return PyThreadState_GetID(PyThreadState_Get()); }

    // Each says what it does before it looks at the other, so that both cannot miss each other where there is no
    // interpreter's lock.
    class Change {
    public:
        explicit Change(OneCall& call) : call_(call) {
            std::uint64_t changing = kNobody;
            if (!call.changing_.compare_exchange_strong(changing, this_thread())) call.refuse(changing);
            if (call.reading_ == 0) return;
            call.changing_ = kNobody;
            call.refuse(kNobody);
        }
        ~Change() { call_.changing_ = kNobody; }
        Change(const Change&) = delete;
        Change& operator=(const Change&) = delete;

    private:
        OneCall& call_;
    };

    class Read {
    public:
        explicit Read(const OneCall& call) : call_(call) {
            ++call.reading_;
            const std::uint64_t changing = call.changing_;
            if (changing == kNobody || changing == this_thread()) return;
            --call.reading_;
            call.refuse(changing);
        }
        ~Read() { --call_.reading_; }
        Read(const Read&) = delete;
        Read& operator=(const Read&) = delete;

    private:
        const OneCall& call_;
    };

    [[noreturn]] void refuse(std::uint64_t changing) const {
        const std::string expected = name_ + ": expected one call at a time, got one ";
        if (changing == this_thread())
            throw std::runtime_error(expected + "in a signal handler inside another, where it can be read and copied");
        throw std::runtime_error(expected + "while another thread is in one, or was when this process was forked; " +
                                 "give each thread its own: " + name_ + ".copy()");
    }

    std::string name_;
    std::atomic<std::uint64_t> changing_{kNobody};  // the thread
    mutable std::atomic<int> reading_{0};           // how many
};

}  // namespace rnncore::bindings
