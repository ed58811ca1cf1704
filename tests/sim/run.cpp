#include "sim/run.hpp"

#include <memory>

namespace keepnet::sim {

namespace {

constexpr std::uint64_t turns_max = 20'000'000;
constexpr std::uint64_t turns_at_one_instant_max = 200'000;
/// Nothing was done by any application for so long after the faults: back-off of 60 s on both sides, one
/// after the other, and TIME-WAIT that holds a slot, are shorter.
constexpr Duration stuck_after = seconds(300);
constexpr Duration drain_max = seconds(600);

class Run {
  public:
    explicit Run(const RunOptions& options)
        : plan_(draw(options.seed)),
          network_(plan_, trace_),
          hosts_{Host(plan_, 0, trace_, network_, monitor_), Host(plan_, 1, trace_, network_, monitor_)} {
        trace_.verbose = options.verbose;
        network_.forges = options.forge;
        for (Host& h : hosts_) {
            h.fault = options.host_fault;
            h.app().fault = options.app_fault;
        }
    }

    void play() {
        while (now_ < plan_.faults_end) advance(plan_.faults_end);
        trace_.add(now_, 0, What::faults_over);
        faults_ = false;
        network_.heal();
        for (Host& h : hosts_) h.stop_faults(now_);
        finish_transfers();
        trace_.add(now_, 0, What::all_done);
        for (Host& h : hosts_) h.begin_drain(now_);
        drain();
    }

    Outcome outcome() const {
        Outcome o{.hash = trace_.hash(), .turns = turns_, .segments = monitor_.segments(), .end = now_};
        for (const Host& h : hosts_) {
            const Tally& t = h.tally();
            o.tally.crashes += t.crashes, o.tally.fresh_starts += t.fresh_starts,
                o.tally.restores += t.restores;
            o.tally.attaches += t.attaches, o.tally.suspends += t.suspends, o.tally.cuts += t.cuts;
            o.tally.overruns += t.overruns, o.tally.abandoned += t.abandoned, o.tally.commits += t.commits;
            o.tally.reencoded += t.reencoded, o.tally.increments += t.increments;
        }
        return o;
    }
    /// The last events, and what each stack dropped in this life.
    [[nodiscard]] std::string tail() const {
        std::string out = trace_.tail();
        for (unsigned i = 0; i < 2; ++i) {
            if (!hosts_[i].is_up()) continue;
            out += std::string(1, static_cast<char>('A' + i)) + " dropped:";
            const Statistics& s = hosts_[i].stack().statistics();
            for (std::size_t r = 0; r < drop_reasons; ++r) {
                if (s.drops[r] == 0) continue;
                out += " " + std::string(name(static_cast<DropReason>(r))) + "=" + std::to_string(s.drops[r]);
            }
            out += "\n";
        }
        return out;
    }

  private:
    /// The next event, whatever it is, or `limit`.
    void advance(Instant limit) {
        const Instant a = hosts_[0].next_turn(now_, faults_), b = hosts_[1].next_turn(now_, faults_);
        const Instant arrival = network_.next_arrival();
        const Instant t = earlier(earlier(a, b), earlier(arrival, limit));
        if (t > now_) at_this_instant_ = 0;
        now_ = later(now_, t);
        if (++turns_ > turns_max) throw Failure("a run comes to its end", std::to_string(turns_) + " turns");
        if (++at_this_instant_ > turns_at_one_instant_max)
            throw Failure("time goes on", "work for ever at one instant");
        if (t == arrival) {
            Network::Arrival arrived = network_.take();
            hosts_[arrived.to].deliver(now_, std::move(arrived.frame));
        } else if (t == a || t == b) {
            // Who goes first at one instant must not always be the same one.
            const unsigned who = t != a ? 1 : t != b ? 0 : static_cast<unsigned>(turns_ & 1);
            hosts_[who].turn(now_, faults_, hosts_[1 - who]);
        }
    }

    [[nodiscard]] bool is_done() const {
        return hosts_[0].is_settled() && hosts_[1].is_settled() &&
               hosts_[0].app().is_done(hosts_[1].app().value) &&
               hosts_[1].app().is_done(hosts_[0].app().value);
    }

    void finish_transfers() {
        std::uint64_t progress = 0;
        Instant since = now_;
        while (!is_done()) {
            advance(since + stuck_after);
            const std::uint64_t p = hosts_[0].app().progress() + hosts_[1].app().progress();
            if (p != progress) {
                progress = p;
                since = now_;
            } else if (now_ >= since + stuck_after) {
                throw Failure(
                    "when faults stop, every transfer completes",
                    "no progress for 300 s\n" + hosts_[0].app().unfinished() + hosts_[1].app().unfinished());
            }
        }
    }

    void drain() {
        const Instant limit = now_ + drain_max;
        while (true) {
            const std::string a = hosts_[0].leftovers(), b = hosts_[1].leftovers();
            if (a.empty() && b.empty()) return;
            if (now_ >= limit)
                throw Failure("nothing is left when everything is closed", "A: " + a + "B: " + b);
            advance(limit);
        }
    }

    Plan plan_;
    Trace trace_;
    Monitor monitor_;
    Network network_;
    std::array<Host, 2> hosts_;
    Instant now_{};
    bool faults_ = true;
    std::uint64_t turns_ = 0;
    std::uint64_t at_this_instant_ = 0;
};

}  // namespace

Outcome run(const RunOptions& options) {
    const auto r = std::make_unique<Run>(options);
    Outcome outcome;
    try {
        r->play();
        outcome = r->outcome();
        outcome.ok = true;
    } catch (const Failure& f) {
        outcome = r->outcome();
        outcome.property = f.property;
        outcome.detail = f.what();
        outcome.tail = r->tail();
    } catch (const std::exception& e) {  // a call that cannot fail did
        outcome = r->outcome();
        outcome.property = "no call fails that cannot";
        outcome.detail = e.what();
        outcome.tail = r->tail();
    }
    return outcome;
}

}  // namespace keepnet::sim
