#include "rnn/decode/arpa.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <limits>
#include <locale>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace rnncore {
namespace {

constexpr std::string_view kBlanks = " \t\r\v\f";
constexpr std::size_t kQuoted = 60;  // bytes of a line that an error quotes

std::string_view stripped(std::string_view text) {
    const std::size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Whether the whole of `text` is a number, in any locale.
template <class T>
bool parsed(std::string_view text, T& number) {
    if (!text.empty() && text.front() == '+') text.remove_prefix(1);
#if defined(__cpp_lib_to_chars)
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size();
#else
    std::istringstream stream{std::string(text)};
    stream.imbue(std::locale::classic());
    return stream >> number && stream.peek() == std::istringstream::traits_type::eof();
#endif
}

class Reader {
public:
    Reader(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

    Ngram read(double log10_unknown) {
        while (next() && line_ != "\\data\\") {  // what stands before it is a comment
        }
        if (ended_) fail("\\data\\");
        read_counts();
        for (std::size_t n = 1; n <= counts_.size(); ++n) read_level(n);
        if (ended_ || line_ != "\\end\\") fail("\\end\\");
        model_.finish(log10_unknown);
        return std::move(model_);
    }

private:
    struct Count {
        std::size_t count, line;
    };

    // The next line that is not empty, without blanks around it; false at the end of the text.
    bool next() {
        do {
            ++number_;
            if (rest_.empty()) {
                ended_ = true;
                line_ = {};
                return false;
            }
            const std::size_t end = rest_.find('\n');
            line_ = stripped(rest_.substr(0, end));
            rest_ = end == std::string_view::npos ? std::string_view{} : rest_.substr(end + 1);
        } while (line_.empty());
        return true;
    }

    [[noreturn]] void fail(const std::string& expected) const {
        std::string got = "the end of the file";
        if (!ended_) got = "'" + std::string(line_.substr(0, kQuoted)) + (line_.size() > kQuoted ? "..." : "") + "'";
        fail(expected, got);
    }

    [[noreturn]] void fail(const std::string& expected, const std::string& got) const {
        throw Invalid(name_ + ": line " + std::to_string(number_) + ": expected " + expected + ", got " + got);
    }

    // ngram 1=1000
    void read_counts() {
        constexpr std::string_view kBegin = "ngram ";
        while (next() && line_.substr(0, kBegin.size()) == kBegin) {
            const std::string_view text = line_.substr(kBegin.size());
            const std::size_t equals = std::min(text.find('='), text.size());
            std::size_t n = 0, count = 0;
            if (!parsed(stripped(text.substr(0, equals)), n) ||
                !parsed(stripped(text.substr(std::min(equals + 1, text.size()))), count) || n != counts_.size() + 1)
                fail("'ngram " + std::to_string(counts_.size() + 1) + "=' and a number");
            counts_.push_back({count, number_});
        }
        if (counts_.empty()) fail("'ngram 1=' and a number");
    }

    // \2-grams:
    // -0.3  of the  -0.1
    void read_level(std::size_t n) {
        const std::string title = "\\" + std::to_string(n) + "-grams:";
        if (ended_ || line_ != title) fail(title);
        std::vector<Ngram::Entry> entries;
        while (next() && line_.front() != '\\') entries.push_back(entry(n));
        const Count& said = counts_[n - 1];
        if (entries.size() != said.count)
            fail(std::to_string(said.count) + " " + std::to_string(n) + "-grams before it, as line " +
                     std::to_string(said.line) + " says",
                 std::to_string(entries.size()));
        if (const std::size_t twice = model_.add_level(entries)) {
            number_ = twice;
            fail("each n-gram once", "one of before");
        }
    }

    Ngram::Entry entry(std::size_t n) {
        std::vector<std::string_view>& fields = fields_;
        fields.clear();
        for (std::size_t at = 0; at < line_.size();) {
            const std::size_t end = std::min(line_.find_first_of(kBlanks, at), line_.size());
            if (end > at) fields.push_back(line_.substr(at, end - at));
            at = end + 1;
        }
        const bool is_longest = n == counts_.size();
        if (fields.size() != n + 1 && fields.size() != n + 2)
            fail("a number, " + std::to_string(n) + (n == 1 ? " word" : " words") +
                 (is_longest ? "" : " and perhaps a backoff"));
        Ngram::Entry result{Ngram::kRoot, Ngram::kNoWord, number(fields[0]), 0, number_};
        if (result.log10 > 0) fail("log10 of a probability, at most 0", std::string(fields[0]));
        if (fields.size() == n + 2) result.backoff = number(fields[n + 1]);
        if (n == 1) {
            result.word = model_.add_word(fields[1]);
            if (result.word == Ngram::kNoWord) fail("each word once", "'" + std::string(fields[1]) + "' again");
            return result;
        }
        for (std::size_t i = 1; i <= n; ++i) {
            result.word = model_.find(fields[i]);
            if (result.word == Ngram::kNoWord)
                fail("words that are 1-grams", "'" + std::string(fields[i].substr(0, kQuoted)) + "'");
            if (i == n) break;
            result.parent = model_.find(result.parent, result.word);
            if (result.parent == Ngram::kNoState)
                fail("an n-gram whose first " + std::to_string(n - 1) + " words are one too");
        }
        return result;
    }

    float number(std::string_view text) const {
        double value = 0;
        if (!parsed(text, value) || !std::isfinite(value) || std::abs(value) > std::numeric_limits<float>::max())
            fail("a finite number", "'" + std::string(text.substr(0, kQuoted)) + "'");
        return static_cast<float>(value);
    }

    std::string_view rest_, line_;
    const std::string& name_;
    std::size_t number_ = 0;  // of the line
    bool ended_ = false;
    std::vector<Count> counts_;
    std::vector<std::string_view> fields_;
    Ngram model_;
};

}  // namespace

Ngram read_arpa(std::string_view text, const std::string& name, double log10_unknown) {
    return Reader(text, name).read(log10_unknown);
}

}  // namespace rnncore
