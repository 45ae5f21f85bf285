// Prefix beam search over the probabilities that a network with the CTC loss gives to symbols (Graves, Fernandez, Gomez
// and Schmidhuber 2006; Hannun, Maas, Jurafsky and Ng 2014, arXiv 1408.2873): for every prefix of the beam the
// probability of all paths to it, and the best path, which says when its symbols are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/table.hpp"
#include "rnn/decode/forest.hpp"
#include "rnn/decode/prefix_model.hpp"

namespace rnncore {

// ln p [T,C] of one sequence, in one of two types.
struct Frames {
    const float* single;
    const double* twice;  // one of the two is null
    Index steps, stride_step, stride_symbol;

    double at(Index t, Index symbol) const {
        const Index i = t * stride_step + symbol * stride_symbol;
        return single ? double{single[i]} : twice[i];
    }
};

struct Hypothesis {
    struct Word {
        std::int32_t word, first, end;  // its symbols
    };
    double score = 0;
    std::vector<std::int64_t> symbols, starts, ends;  // frames are [start, end)
    std::vector<double> probabilities;                // mean over the frames
    std::vector<Word> words;
};

class PrefixSearch {
public:
    explicit PrefixSearch(std::shared_ptr<const PrefixModel> model);

    // Reads frames from `first` on until all are read or the language model is needed; returns the first unread one.
    Index advance(const Frames& frames, Index first);

    // Words end with the sequence; no frames may follow. The language model may be needed once more.
    void finish();
    bool finished() const { return finished_; }

    // A language model has to read `unit` after the prefix of the context `parent`, and its row becomes that of
    // `context`. The first request has no parent and no unit, and is about the beginning.
    struct Request {
        std::int32_t parent, unit, context;
    };
    const std::vector<Request>& requests() const { return requests_; }
    void supply(const double* rows);  // [requests, units + 1]

    // The n best; before finish() as the beam has them, possibly within a word.
    std::vector<Hypothesis> best(std::size_t n) const;

    std::size_t prefixes() const { return prefixes_.size(); }  // that are held
    std::size_t spans() const { return spans_.size(); }

private:
    using Id = std::int32_t;
    static constexpr Id kNone = -1;
    static constexpr double kImpossible = -std::numeric_limits<double>::infinity();

    struct Prefix {
        Id parent, references = 0;
        Id symbol = kNone, word = kNone;  // as in an extension
        PrefixModel::Place place{};
        Id first_child = kNone, next_sibling = kNone;
        Id rank = kNone;     // in the beam
        Id context = kNone;  // while it is in the beam
    };
    // A symbol of a best path that has ended.
    struct Span {
        Id parent, references = 0;
        std::int64_t start, end;
        double sum;  // of probabilities
    };
    struct Path {
        double log = kImpossible;         // ln p
        Id before = kNone;                // spans of the symbols before the last one
        std::int64_t start = 0, end = 0;  // of the last symbol
        double sum = 0;
    };
    struct Context {
        Id references = 0;
        ModelRow row;
    };
    // One prefix of the beam.
    struct Entry {
        Id prefix = kNone;
        double blank = kImpossible,
               symbol = kImpossible;  // ln p of all paths that end in the blank, in the last symbol
        double total = kImpossible;   // of both
        double score = kImpossible;   // and the bonus
        Path blank_path, symbol_path;
    };
    // A prefix that may be in the next beam.
    struct Candidate {
        double score;
        Id from;         // rank in the present beam
        bool stays;      // the prefix itself, not an extension
        double log = 0;  // ln p of the extension
        PrefixModel::Extension extension{};
    };
    struct Ending {
        Id rank;  // in the beam
        Id word;  // that ends with the sequence
        PrefixModel::Place place;
        Id context;
    };

    void step(const Frames& frames, Index t);
    void choose_symbols();
    Entry stayed(const Entry& entry) const;  // without paths
    void extend(Id rank);
    void offer(const Candidate& candidate);
    double least_score() const;  // below which a candidate cannot be in the next beam
    void select();
    Entry entered(const Candidate& candidate);
    void replace_beam();

    Path begun(Id rank, Id symbol);
    Id closed(Id rank, bool blank);
    Id child(Id parent, Id symbol, Id word) const;
    void release_prefix(Id id);

    bool has_model() const { return model_->options.model_unit != Unit::none; }
    const ModelRow& row(Id context) const;
    Id new_context(Id parent, Id unit);
    Id context_after(Id parent, Id symbol, Id word);
    void release_context(Id context);

    const Path& best_path(const Entry& entry) const;
    Hypothesis hypothesis(const Entry& entry, Id last_word, double score) const;

    std::shared_ptr<const PrefixModel> model_;
    double most_bonus_;
    Forest<Prefix> prefixes_;
    Forest<Span> spans_;
    std::vector<Context> contexts_;
    std::vector<Id> free_contexts_;
    std::vector<Request> requests_;

    std::vector<Entry> beam_, next_;
    std::int64_t time_ = 0;
    bool finished_ = false;
    std::vector<Ending> endings_;

    // Of one frame.
    std::vector<double> frame_;  // [C], ln p
    std::vector<Id> symbols_;    // that extend prefixes, the likeliest first
    std::vector<Entry> stays_;   // the beam after the frame, without paths
    std::vector<Candidate> candidates_;
    std::vector<double> best_scores_;                    // heap of the best scores of candidates, as many as a beam has
    std::vector<Id> closed_;                             // [beam, 2]: a path's spans with that of its last symbol
    std::vector<std::pair<double, std::size_t>> order_;  // minus the score of a candidate, and its place
    std::vector<PrefixModel::Ended> ended_;
    std::vector<PrefixModel::Extension> extensions_;
    std::vector<std::int64_t> marked_;  // [C]: stamp_ where a child of the prefix is in the beam
    std::int64_t stamp_ = 0;
};

}  // namespace rnncore
