// What a search over prefixes knows besides the probabilities of the frames: words, bonuses and language models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "rnn/decode/hot_words.hpp"
#include "rnn/decode/lexicon.hpp"
#include "rnn/decode/ngram.hpp"

namespace rnncore {

// What a language model is about.
enum class Unit { none, symbol, word };

struct PrefixOptions {
    std::int32_t symbols = 0;  // C
    std::int32_t blank = 0;
    std::int32_t separator = -1;  // symbol between words; -1: none
    bool only_words = false;      // of the lexicon; otherwise other words are the word `words`, the unknown one
    std::int32_t words = 0;       // W, numbers of words are [0, W)

    std::int32_t beam_size = 1;
    std::int32_t most_symbols = std::numeric_limits<std::int32_t>::max();  // of a frame that extend prefixes
    double least_symbol = -std::numeric_limits<double>::infinity();        // ln p of one that does
    double beam_threshold = std::numeric_limits<double>::infinity();       // below the best score

    double word_bonus = 0, symbol_bonus = 0, unknown_bonus = 0;
    double ngram_weight = 0;  // of ln p
    double model_weight = 0;  // of ln p
    Unit ngram_unit = Unit::none, model_unit = Unit::none, hot_unit = Unit::none;
};

// ln p of each next unit, W + 1 words or C symbols, and of the end, from a language model that has read a prefix.
using ModelRow = std::vector<double>;

struct PrefixModel {
    static constexpr std::int32_t kNoWord = -1;

    PrefixOptions options;
    Lexicon lexicon;
    std::shared_ptr<const Ngram> ngram;    // null: none
    std::vector<Ngram::Word> ngram_words;  // of each unit
    std::vector<bool> known_words;         // [W + 1], those without unknown_bonus
    HotWords hot_words;

    bool has_words() const { return options.separator >= 0 || options.only_words; }
    std::int32_t units(Unit unit) const { return unit == Unit::word ? options.words + 1 : options.symbols; }

    // What follows from the symbols of a prefix; `bonus` is all that is added to ln p(prefix | frames).
    struct Place {
        std::int32_t lexicon = Lexicon::kRoot;  // within the word
        Ngram::State ngram = Ngram::kRoot;
        std::int32_t hot = HotWords::kRoot;
        double bonus = 0;
    };
    Place start() const;

    // A word that may end at a place, and the place after it.
    struct Ended {
        std::int32_t word;
        Place place;
    };
    // All of them, in an order that depends on the arguments alone; `row` is that of the place's language model, empty
    // where there is none. Nothing where no word has begun.
    void end_word(const Place& from, const ModelRow& row, std::vector<Ended>& to) const;

    // One way to go on from a place with a symbol. `word` has ended before the symbol, if it is not kNoWord.
    struct Extension {
        std::int32_t symbol, word;
        Place place;
    };
    // All of them, in such an order. `last` is the prefix' last symbol, or -1; `ended` is what end_word() gives.
    void extend(const Place& from, std::int32_t last, const ModelRow& row, const std::vector<Ended>& ended,
                std::int32_t symbol, std::vector<Extension>& to) const;
    // The ways to end the sequence: `ended`, or where no word has begun the place as it is, with kNoWord. In `ended`,
    // nothing where a word is not whole.
    void complete(const Place& from, std::int32_t last, std::vector<Ended>& ended) const;
    // What ending adds, after complete(); `row` is that after the last word.
    double ending(const Place& place, const ModelRow& row) const;

    // At least what any extension adds.
    double most_bonus() const;

private:
    bool within_word(const Place& place) const { return place.lexicon != Lexicon::kRoot; }
    void add_word(std::int32_t word, const ModelRow& row, Place& place) const;
    void add_symbol(std::int32_t symbol, std::int32_t last, const ModelRow& row, Place& place) const;
    void step_ngram(std::int32_t unit, Place& place) const;
    void step_hot(std::int32_t token, Place& place) const;
};

}  // namespace rnncore
