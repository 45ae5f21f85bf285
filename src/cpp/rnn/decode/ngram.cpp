#include "rnn/decode/ngram.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

#include "core/error.hpp"

namespace rnncore {

Ngram::Word Ngram::add_word(std::string_view word) {
    const auto [at, is_new] = ids_.emplace(word, static_cast<Word>(words_.size()));
    if (!is_new) return kNoWord;
    words_.emplace_back(word);
    return at->second;
}

std::size_t Ngram::add_level(std::vector<Entry>& entries) {
    const auto key = [](const Entry& e) { return std::tuple(e.parent, e.word, e.line); };
    std::sort(entries.begin(), entries.end(), [&](const Entry& a, const Entry& b) { return key(a) < key(b); });
    const std::size_t parents = levels_.back(), first = word_.size();
    if (first + entries.size() >= std::size_t{std::numeric_limits<State>::max()})
        throw OutOfMemory("an n-gram model of 2^31 n-grams");

    auto next = entries.begin();
    for (std::size_t parent = parents; parent < first; ++parent) {  // all children of one after those of the other
        first_child_[parent] = static_cast<State>(word_.size());
        for (; next != entries.end() && static_cast<std::size_t>(next->parent) == parent; ++next) {
            if (word_.size() > static_cast<std::size_t>(first_child_[parent]) && word_.back() == next->word)
                return next->line;
            State suffix = kRoot;
            for (State history = next->parent; history != kRoot && suffix == kRoot;) {
                history = suffix_[static_cast<std::size_t>(history)];
                suffix = std::max(kRoot, find(history, next->word));
            }
            word_.push_back(next->word);
            log10_.push_back(next->log10);
            backoff_.push_back(next->backoff);
            suffix_.push_back(suffix);
        }
    }
    levels_.push_back(first);
    first_child_.resize(first);
    first_child_.resize(word_.size() + 1, static_cast<State>(word_.size()));  // none yet
    return 0;
}

void Ngram::finish(double log10_unknown) {
    log10_unknown_ = log10_unknown;
    unknown_ = std::max(find("<unk>"), find("<UNK>"));
    end_ = find("</s>");
    if (const Word start = find("<s>"); start != kNoWord) start_ = order() > 1 ? find(kRoot, start) : kRoot;
}

Ngram::Word Ngram::find(std::string_view word) const {
    const auto found = ids_.find(word);
    return found == ids_.end() ? kNoWord : found->second;
}

Ngram::Word Ngram::known(std::string_view word) const {
    const Word found = find(word);
    return found == kNoWord ? unknown_ : found;
}

Ngram::State Ngram::find(State state, Word word) const {
    const auto children = word_.begin() + first_child_[static_cast<std::size_t>(state)];
    const auto end = word_.begin() + first_child_[static_cast<std::size_t>(state) + 1];
    if (state == kRoot) return word < end - children ? static_cast<State>(children + word - word_.begin()) : kNoState;
    const auto found = std::lower_bound(children, end, word);
    return found != end && *found == word ? static_cast<State>(found - word_.begin()) : kNoState;
}

Ngram::Step Ngram::step(State state, Word word) const {
    if (word == kNoWord) return {log10_unknown_, kRoot};
    double log10 = 0;
    for (;; state = suffix_[static_cast<std::size_t>(state)]) {
        if (const State found = find(state, word); found != kNoState) {
            const auto node = static_cast<std::size_t>(found);
            // no n-gram is longer than those of the last level
            return {log10 + log10_[node], node < levels_.back() ? found : suffix_[node]};
        }
        log10 += backoff_[static_cast<std::size_t>(state)];
    }
}

}  // namespace rnncore
