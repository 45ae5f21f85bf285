#include "rnn/decode/prefix_search.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace rnncore {
namespace {

const ModelRow no_row;
constexpr std::int32_t kOpen = -2;  // in closed_: not asked for yet

double log_sum(double a, double b) {  // ln(e^a + e^b)
    if (a < b) std::swap(a, b);
    return std::isinf(b) ? a : a + std::log1p(std::exp(b - a));
}

}  // namespace

PrefixSearch::PrefixSearch(std::shared_ptr<const PrefixModel> model)
    : model_(std::move(model)), most_bonus_(model_->most_bonus()) {
    const auto count = static_cast<std::size_t>(model_->options.symbols);
    frame_.resize(count);
    marked_.assign(count, 0);
    Prefix root{kNone};
    root.place = model_->start();
    root.rank = 0;
    if (has_model()) root.context = new_context(kNone, kNone);
    Entry entry;
    entry.prefix = prefixes_.add(root);
    entry.blank = entry.total = entry.blank_path.log = 0;
    entry.score = root.place.bonus;
    beam_.push_back(entry);
}

Index PrefixSearch::advance(const Frames& frames, Index first) {
    for (; first < frames.steps && requests_.empty(); ++first) step(frames, first);
    return first;
}

// --- one frame -------------------------------------------------------------------------------------------------------

void PrefixSearch::step(const Frames& frames, Index t) {
    for (std::size_t c = 0; c < frame_.size(); ++c) frame_[c] = frames.at(t, static_cast<Index>(c));
    choose_symbols();
    candidates_.clear();
    best_scores_.clear();
    stays_.clear();
    for (std::size_t rank = 0; rank < beam_.size(); ++rank) {
        stays_.push_back(stayed(beam_[rank]));
        offer({stays_[rank].score, static_cast<Id>(rank), true});
    }
    for (std::size_t rank = 0; rank < beam_.size(); ++rank) extend(static_cast<Id>(rank));
    select();
    closed_.assign(2 * beam_.size(), kOpen);
    next_.clear();
    for (const auto& [cost, i] : order_) next_.push_back(entered(candidates_[i]));
    replace_beam();
    ++time_;
}

void PrefixSearch::choose_symbols() {
    const PrefixOptions& options = model_->options;
    symbols_.clear();
    for (Id symbol = 0; symbol < options.symbols; ++symbol) {
        const double log = frame_[static_cast<std::size_t>(symbol)];
        if (symbol != options.blank && log >= options.least_symbol && log > kImpossible) symbols_.push_back(symbol);
    }
    const auto log = [&](Id symbol) { return frame_[static_cast<std::size_t>(symbol)]; };
    std::stable_sort(symbols_.begin(), symbols_.end(), [&](Id a, Id b) { return log(a) > log(b); });
    if (symbols_.size() > static_cast<std::size_t>(options.most_symbols))
        symbols_.resize(static_cast<std::size_t>(options.most_symbols));
}

// p_blank(l, t) = y_blank p(l, t-1)
// p_symbol(l, t) = y_s (p_symbol(l, t-1) + p(l without its last symbol s, t-1)),
//                  where of the latter only the paths that end in the blank count if it ends in s too
PrefixSearch::Entry PrefixSearch::stayed(const Entry& entry) const {
    const Prefix& prefix = prefixes_[entry.prefix];
    Entry result;
    result.prefix = entry.prefix;
    result.blank = entry.total + frame_[static_cast<std::size_t>(model_->options.blank)];
    if (prefix.symbol != kNone) {
        double before = entry.symbol;
        if (const Id rank = prefixes_[prefix.parent].rank; rank != kNone) {
            const Entry& parent = beam_[static_cast<std::size_t>(rank)];
            const bool repeats = prefixes_[prefix.parent].symbol == prefix.symbol;
            before = log_sum(before, repeats ? parent.blank : parent.total);
        }
        result.symbol = before + frame_[static_cast<std::size_t>(prefix.symbol)];
    }
    result.total = log_sum(result.blank, result.symbol);
    result.score = result.total + prefix.place.bonus;
    return result;
}

void PrefixSearch::extend(Id rank) {
    const Entry& entry = beam_[static_cast<std::size_t>(rank)];
    const Prefix& prefix = prefixes_[entry.prefix];
    ++stamp_;
    for (Id id = prefix.first_child; id != kNone; id = prefixes_[id].next_sibling)
        if (prefixes_[id].rank != kNone) marked_[static_cast<std::size_t>(prefixes_[id].symbol)] = stamp_;
    bool has_ended = false;
    for (const Id symbol : symbols_) {
        const double log = frame_[static_cast<std::size_t>(symbol)];
        if (entry.total + log + prefix.place.bonus + most_bonus_ < least_score()) break;
        Candidate candidate{0, rank, false, (symbol == prefix.symbol ? entry.blank : entry.total) + log};
        if (candidate.log == kImpossible) continue;
        if (!has_ended) model_->end_word(prefix.place, row(prefix.context), ended_);
        has_ended = true;
        model_->extend(prefix.place, prefix.symbol, row(prefix.context), ended_, symbol, extensions_);
        for (const PrefixModel::Extension& extension : extensions_) {
            if (marked_[static_cast<std::size_t>(symbol)] == stamp_) {  // stayed() has counted those in the beam
                const Id id = child(entry.prefix, symbol, extension.word);
                if (id != kNone && prefixes_[id].rank != kNone) continue;
            }
            candidate.extension = extension;
            candidate.score = candidate.log + extension.place.bonus;
            offer(candidate);
        }
    }
}

double PrefixSearch::least_score() const {
    const bool is_full = best_scores_.size() == static_cast<std::size_t>(model_->options.beam_size);
    return is_full ? best_scores_.front() : kImpossible;
}

void PrefixSearch::offer(const Candidate& candidate) {
    if (candidate.score == kImpossible || candidate.score < least_score()) return;
    candidates_.push_back(candidate);
    if (best_scores_.size() == static_cast<std::size_t>(model_->options.beam_size)) {
        std::pop_heap(best_scores_.begin(), best_scores_.end(), std::greater<>());
        best_scores_.pop_back();
    }
    best_scores_.push_back(candidate.score);
    std::push_heap(best_scores_.begin(), best_scores_.end(), std::greater<>());
}

// The candidates that make up the next beam, the best first, equal ones in the order in which they came.
void PrefixSearch::select() {
    order_.clear();
    const double least = least_score();
    for (std::size_t i = 0; i < candidates_.size(); ++i)
        if (candidates_[i].score >= least) order_.emplace_back(-candidates_[i].score, i);
    std::sort(order_.begin(), order_.end());
    const PrefixOptions& options = model_->options;
    std::size_t count = std::min(order_.size(), static_cast<std::size_t>(options.beam_size));
    while (count > 0 && order_[count - 1].first > order_[0].first + options.beam_threshold) --count;
    order_.resize(count);
}

PrefixSearch::Entry PrefixSearch::entered(const Candidate& candidate) {
    const Entry& from = beam_[static_cast<std::size_t>(candidate.from)];
    const double blank = frame_[static_cast<std::size_t>(model_->options.blank)];
    if (!candidate.stays) {
        const PrefixModel::Extension& extension = candidate.extension;
        Entry entry;
        entry.prefix = child(from.prefix, extension.symbol, extension.word);
        if (entry.prefix != kNone) {
            prefixes_.hold(entry.prefix);
        } else {
            Prefix prefix{from.prefix};
            prefix.symbol = extension.symbol;
            prefix.word = extension.word;
            prefix.place = extension.place;
            prefix.next_sibling = prefixes_[from.prefix].first_child;
            entry.prefix = prefixes_.add(prefix);
            prefixes_[from.prefix].first_child = entry.prefix;
        }
        prefixes_[entry.prefix].context =
            context_after(prefixes_[from.prefix].context, extension.symbol, extension.word);
        entry.symbol = entry.total = candidate.log;
        entry.score = candidate.score;
        entry.symbol_path = begun(candidate.from, extension.symbol);
        spans_.hold(entry.symbol_path.before);
        return entry;
    }
    Entry entry = stays_[static_cast<std::size_t>(candidate.from)];
    entry.blank_path = best_path(from);
    entry.blank_path.log += blank;
    const Prefix& prefix = prefixes_[entry.prefix];
    if (prefix.symbol != kNone) {
        const double log = frame_[static_cast<std::size_t>(prefix.symbol)];
        entry.symbol_path = from.symbol_path;
        entry.symbol_path.log += log;
        entry.symbol_path.end = time_ + 1;
        entry.symbol_path.sum += std::exp(log);
        if (const Id rank = prefixes_[prefix.parent].rank; rank != kNone) {
            const Path again = begun(rank, prefix.symbol);
            if (again.log > entry.symbol_path.log) entry.symbol_path = again;
        }
    }
    prefixes_.hold(entry.prefix);
    spans_.hold(entry.blank_path.before);
    spans_.hold(entry.symbol_path.before);
    return entry;
}

void PrefixSearch::replace_beam() {
    for (const Entry& entry : beam_) prefixes_[entry.prefix].rank = kNone;
    for (std::size_t rank = 0; rank < next_.size(); ++rank) prefixes_[next_[rank].prefix].rank = static_cast<Id>(rank);
    const auto nothing = [](Id) {};
    for (const Entry& entry : beam_) {
        Prefix& prefix = prefixes_[entry.prefix];
        if (prefix.rank == kNone) release_context(std::exchange(prefix.context, kNone));
        release_prefix(entry.prefix);
        spans_.release(entry.blank_path.before, nothing);
        spans_.release(entry.symbol_path.before, nothing);
    }
    for (const Id span : closed_)
        if (span != kOpen) spans_.release(span, nothing);
    beam_.swap(next_);
}

// --- best paths ------------------------------------------------------------------------------------------------------

const PrefixSearch::Path& PrefixSearch::best_path(const Entry& entry) const {
    return entry.symbol_path.log > entry.blank_path.log ? entry.symbol_path : entry.blank_path;
}

// A path that begins `symbol` in this frame after the best path of a prefix that lets it.
PrefixSearch::Path PrefixSearch::begun(Id rank, Id symbol) {
    const Entry& from = beam_[static_cast<std::size_t>(rank)];
    const bool blank = prefixes_[from.prefix].symbol == symbol || from.blank_path.log >= from.symbol_path.log;
    const double log = frame_[static_cast<std::size_t>(symbol)];
    const double before = (blank ? from.blank_path : from.symbol_path).log;
    return {before + log, closed(rank, blank), time_, time_ + 1, std::exp(log)};
}

// The spans of a path of the beam with that of its last symbol; closed_ owns them during the frame.
PrefixSearch::Id PrefixSearch::closed(Id rank, bool blank) {
    Id& id = closed_[2 * static_cast<std::size_t>(rank) + (blank ? 1 : 0)];
    if (id != kOpen) return id;
    const Entry& from = beam_[static_cast<std::size_t>(rank)];
    const Path& path = blank ? from.blank_path : from.symbol_path;
    if (prefixes_[from.prefix].symbol == kNone) return id = kNone;
    return id = spans_.add({path.before, 0, path.start, path.end, path.sum});
}

// --- prefixes --------------------------------------------------------------------------------------------------------

PrefixSearch::Id PrefixSearch::child(Id parent, Id symbol, Id word) const {
    Id id = prefixes_[parent].first_child;
    while (id != kNone && (prefixes_[id].symbol != symbol || prefixes_[id].word != word))
        id = prefixes_[id].next_sibling;
    return id;
}

void PrefixSearch::release_prefix(Id id) {
    prefixes_.release(id, [this](Id freed) {
        const Prefix& prefix = prefixes_[freed];
        if (prefix.parent == kNone) return;
        Id* link = &prefixes_[prefix.parent].first_child;
        while (*link != freed) link = &prefixes_[*link].next_sibling;
        *link = prefix.next_sibling;
    });
}

// --- the language model ----------------------------------------------------------------------------------------------

const ModelRow& PrefixSearch::row(Id context) const {
    return context == kNone ? no_row : contexts_[static_cast<std::size_t>(context)].row;
}

PrefixSearch::Id PrefixSearch::new_context(Id parent, Id unit) {
    if (free_contexts_.empty()) {
        free_contexts_.reserve(contexts_.size() + 1);
        free_contexts_.push_back(static_cast<Id>(contexts_.size()));
        contexts_.emplace_back();
    }
    const Id id = free_contexts_.back();
    requests_.push_back({parent, unit, id});
    free_contexts_.pop_back();
    contexts_[static_cast<std::size_t>(id)].references = 1;
    return id;
}

PrefixSearch::Id PrefixSearch::context_after(Id parent, Id symbol, Id word) {
    if (!has_model()) return kNone;
    if (model_->options.model_unit == Unit::symbol) return new_context(parent, symbol);
    if (word != PrefixModel::kNoWord) return new_context(parent, word);
    ++contexts_[static_cast<std::size_t>(parent)].references;
    return parent;
}

void PrefixSearch::release_context(Id context) {
    if (context == kNone || --contexts_[static_cast<std::size_t>(context)].references > 0) return;
    free_contexts_.push_back(context);
}

void PrefixSearch::supply(const double* rows) {
    const auto width = static_cast<std::size_t>(model_->units(model_->options.model_unit)) + 1;
    for (const Request& request : requests_) {
        contexts_[static_cast<std::size_t>(request.context)].row.assign(rows, rows + width);
        rows += width;
    }
    requests_.clear();
}

// --- the end ---------------------------------------------------------------------------------------------------------

void PrefixSearch::finish() {
    finished_ = true;
    for (std::size_t rank = 0; rank < beam_.size(); ++rank) {
        const Prefix& prefix = prefixes_[beam_[rank].prefix];
        model_->end_word(prefix.place, row(prefix.context), ended_);
        model_->complete(prefix.place, prefix.symbol, ended_);
        for (const auto& [word, place] : ended_) {
            Ending ending{static_cast<Id>(rank), word, place, prefix.context};
            if (model_->options.model_unit == Unit::word) ending.context = context_after(prefix.context, kNone, word);
            endings_.push_back(ending);
        }
    }
}

std::vector<Hypothesis> PrefixSearch::best(std::size_t n) const {
    std::vector<Hypothesis> result;
    if (!finished_) {
        for (std::size_t rank = 0; rank < std::min(n, beam_.size()); ++rank)
            result.push_back(hypothesis(beam_[rank], PrefixModel::kNoWord, beam_[rank].score));
        return result;
    }
    std::vector<std::pair<double, std::size_t>> order;  // minus the score, and the place of the ending
    for (std::size_t i = 0; i < endings_.size(); ++i) {
        const Ending& ending = endings_[i];
        const double bonus = ending.place.bonus + model_->ending(ending.place, row(ending.context));
        const double score = beam_[static_cast<std::size_t>(ending.rank)].total + bonus;
        if (score > kImpossible) order.emplace_back(-score, i);
    }
    std::sort(order.begin(), order.end());
    order.resize(std::min(n, order.size()));
    for (const auto& [cost, i] : order)
        result.push_back(hypothesis(beam_[static_cast<std::size_t>(endings_[i].rank)], endings_[i].word, -cost));
    return result;
}

Hypothesis PrefixSearch::hypothesis(const Entry& entry, Id last_word, double score) const {
    Hypothesis result;
    result.score = score;
    std::vector<Id> words;  // that end before each symbol
    for (Id id = entry.prefix; prefixes_[id].parent != kNone; id = prefixes_[id].parent) {
        result.symbols.push_back(prefixes_[id].symbol);
        words.push_back(prefixes_[id].word);
    }
    const Path& path = best_path(entry);
    const auto add = [&](std::int64_t start, std::int64_t end, double sum) {
        result.starts.push_back(start);
        result.ends.push_back(end);
        result.probabilities.push_back(sum / static_cast<double>(end - start));
    };
    if (!result.symbols.empty()) add(path.start, path.end, path.sum);
    for (Id id = path.before; id != kNone; id = spans_[id].parent)
        add(spans_[id].start, spans_[id].end, spans_[id].sum);
    for (auto* const list : {&result.symbols, &result.starts, &result.ends}) std::reverse(list->begin(), list->end());
    std::reverse(result.probabilities.begin(), result.probabilities.end());

    const std::int32_t separator = model_->options.separator;
    std::int32_t first = 0;
    const auto count = static_cast<std::int32_t>(words.size());
    for (std::int32_t i = 0; i < count; ++i) {
        const Id word = words[static_cast<std::size_t>(count - 1 - i)];
        if (word != PrefixModel::kNoWord) result.words.push_back({word, first, i});
        if (separator >= 0 && result.symbols[static_cast<std::size_t>(i)] == separator)
            first = i + 1;
        else if (word != PrefixModel::kNoWord)
            first = i;
    }
    if (last_word != PrefixModel::kNoWord) result.words.push_back({last_word, first, count});
    return result;
}

}  // namespace rnncore
