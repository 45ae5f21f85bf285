// An n-gram language model with backoff weights (Katz 1987): a tree whose paths from the root are n-grams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rnncore {

class Ngram {
public:
    using Word = std::int32_t;
    using State = std::int32_t;  // node of the longest end of a history that the model has
    static constexpr Word kNoWord = -1;
    static constexpr State kRoot = 0;
    static constexpr State kNoState = -1;

    // --- building ---
    // The new word's number, counted from 0, or kNoWord where it is there already.
    Word add_word(std::string_view word);
    struct Entry {
        State parent;  // of the words before the last one
        Word word;     // the last one
        float log10, backoff;
        std::size_t line;  // of the file, for errors
    };
    // All n-grams of the next n, sorted here; those of level 1 are all words. Returns the line of one that occurs
    // twice, or 0.
    std::size_t add_level(std::vector<Entry>& entries);
    // After the last level. log10_unknown is that of words that the model lacks, if it lacks <unk> too.
    void finish(double log10_unknown);

    // --- asking ---
    struct Step {
        double log10;  // p(word | history)
        State state;   // the history with the word appended
    };
    // p(w | h) is that of the n-gram h w where there is one, otherwise backoff(h) p(w | h without its first word).
    // kNoWord has the probability given to finish().
    Step step(State state, Word word) const;

    Word find(std::string_view word) const;    // kNoWord where there is none
    Word known(std::string_view word) const;   // <unk> or kNoWord where there is none
    State find(State state, Word word) const;  // the node of exactly this n-gram, or kNoState
    State start() const { return start_; }     // after <s>, or kRoot
    Word end() const { return end_; }          // </s>, or kNoWord
    int order() const { return static_cast<int>(levels_.size()) - 1; }
    std::size_t size() const { return word_.size() - 1; }  // n-grams
    const std::vector<std::string>& words() const { return words_; }

private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    };

    std::vector<std::string> words_;
    std::unordered_map<std::string, Word, Hash, std::equal_to<>> ids_;

    // By node, level after level. The children of a node stand side by side, sorted by word, in the order of their
    // parents.
    std::vector<Word> word_{kNoWord};
    std::vector<float> log10_{0}, backoff_{0};
    std::vector<State> suffix_{kRoot};    // the longest n-gram that ends in the same words
    std::vector<State> first_child_{1};   // and the end of the last node's children
    std::vector<std::size_t> levels_{0};  // first node of each level; level 0 is the root

    State start_ = kRoot;
    Word end_ = kNoWord, unknown_ = kNoWord;
    double log10_unknown_ = 0;
};

}  // namespace rnncore
