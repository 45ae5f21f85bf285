// Reads n-gram models from the text format ARPA, as SRILM and KenLM write it.
#pragma once

#include <string>
#include <string_view>

#include "rnn/decode/ngram.hpp"

namespace rnncore {

// Invalid, naming `name` and the line, where the text is no such model. `log10_unknown`: see Ngram::finish.
Ngram read_arpa(std::string_view text, const std::string& name, double log10_unknown);

}  // namespace rnncore
