#include "rnn/decode/prefix_model.hpp"

#include <algorithm>
#include <numbers>

namespace rnncore {

PrefixModel::Place PrefixModel::start() const {
    Place place;
    if (ngram) place.ngram = ngram->start();
    // a pattern of symbols begins and ends with the separator, which the edges of the sequence stand for
    if (options.hot_unit == Unit::symbol && options.separator >= 0) step_hot(options.separator, place);
    return place;
}

void PrefixModel::end_word(const Place& from, const ModelRow& row, std::vector<Ended>& to) const {
    to.clear();
    if (!within_word(from)) return;
    const auto end = [&](std::int32_t word) {
        Ended& ended = to.emplace_back(Ended{word, from});
        add_word(word, row, ended.place);
        ended.place.lexicon = Lexicon::kRoot;
    };
    const std::vector<std::int32_t>& words = lexicon.words(from.lexicon);
    if (options.only_words)
        for (const std::int32_t word : words) end(word);
    else
        end(words.empty() ? options.words : words.front());
}

void PrefixModel::extend(const Place& from, std::int32_t last, const ModelRow& row, const std::vector<Ended>& ended,
                         std::int32_t symbol, std::vector<Extension>& to) const {
    to.clear();
    const auto go = [&](std::int32_t word, const Place& place, std::int32_t lexicon_node) {
        Extension& extension = to.emplace_back(Extension{symbol, word, place});
        extension.place.lexicon = lexicon_node;
        add_symbol(symbol, last, row, extension.place);
    };
    if (!has_words()) return go(kNoWord, from, Lexicon::kRoot);
    if (symbol == options.separator) {
        if (!within_word(from)) go(kNoWord, from, Lexicon::kRoot);
        for (const auto& [word, place] : ended) go(word, place, Lexicon::kRoot);
        return;
    }
    const std::int32_t next = lexicon.child(from.lexicon, symbol);
    if (!options.only_words || next != Lexicon::kNowhere) go(kNoWord, from, next);
    if (options.separator >= 0 || ended.empty()) return;
    // without a separator a word may begin right after another
    const std::int32_t first = lexicon.child(Lexicon::kRoot, symbol);
    if (first == Lexicon::kNowhere) return;
    for (const auto& [word, place] : ended) go(word, place, first);
}

void PrefixModel::complete(const Place& from, std::int32_t last, std::vector<Ended>& ended) const {
    if (!within_word(from)) ended.push_back({kNoWord, from});
    if (options.hot_unit != Unit::symbol || options.separator < 0 || last < 0 || last == options.separator) return;
    for (Ended& one : ended) step_hot(options.separator, one.place);
}

double PrefixModel::ending(const Place& place, const ModelRow& row) const {
    double sum = hot_words.give_back(place.hot);
    if (options.ngram_unit != Unit::none && ngram->end() != Ngram::kNoWord)
        sum += options.ngram_weight * std::numbers::ln10 * ngram->step(place.ngram, ngram->end()).log10;
    if (!row.empty()) sum += options.model_weight * row.back();
    return sum;
}

double PrefixModel::most_bonus() const {
    const double of_word = std::max(0.0, options.word_bonus) + std::max(0.0, options.unknown_bonus);
    return (has_words() ? of_word : 0) + std::max(0.0, options.symbol_bonus) + std::max(0.0, hot_words.most());
}

void PrefixModel::add_word(std::int32_t word, const ModelRow& row, Place& place) const {
    place.bonus += options.word_bonus;
    if (!known_words[static_cast<std::size_t>(word)]) place.bonus += options.unknown_bonus;
    if (options.ngram_unit == Unit::word) step_ngram(word, place);
    if (options.model_unit == Unit::word) place.bonus += options.model_weight * row[static_cast<std::size_t>(word)];
    if (options.hot_unit == Unit::word) step_hot(word, place);
}

void PrefixModel::add_symbol(std::int32_t symbol, std::int32_t last, const ModelRow& row, Place& place) const {
    place.bonus += options.symbol_bonus;
    if (options.ngram_unit == Unit::symbol) step_ngram(symbol, place);
    if (options.model_unit == Unit::symbol) place.bonus += options.model_weight * row[static_cast<std::size_t>(symbol)];
    if (options.hot_unit != Unit::symbol) return;
    // several separators are one, and so are those at the beginning
    const bool is_repeated = symbol == options.separator && (last < 0 || last == options.separator);
    if (!is_repeated) step_hot(symbol, place);
}

void PrefixModel::step_ngram(std::int32_t unit, Place& place) const {
    const Ngram::Step step = ngram->step(place.ngram, ngram_words[static_cast<std::size_t>(unit)]);
    place.bonus += options.ngram_weight * std::numbers::ln10 * step.log10;
    place.ngram = step.state;
}

void PrefixModel::step_hot(std::int32_t token, Place& place) const {
    const HotWords::Step step = hot_words.step(place.hot, token);
    place.bonus += step.bonus;
    place.hot = step.state;
}

}  // namespace rnncore
