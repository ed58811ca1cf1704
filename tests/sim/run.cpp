#include "sim/run.hpp"

#include <algorithm>
#include <memory>

namespace keepnet::sim {

namespace {

constexpr std::uint64_t turns_max = 20'000'000;
constexpr std::uint64_t turns_at_one_instant_max = 200'000;
/// Nothing was done by any application for so long after the faults: back-off of 60 s on both sides, one
/// after the other, and TIME-WAIT that holds a slot, are shorter.
constexpr Duration stuck_after = seconds(300);
constexpr Duration drain_max = seconds(600);

Plan draw_without(const RunOptions& options) {
    const Without& w = options.without;
    Plan plan = draw(options.seed, options.setting);
    for (const std::uint32_t id : w.connections) plan.connections[id - 1].is_left_out = true;
    for (std::size_t i = 0; i < plan.host.size(); ++i) {
        plan.host[i].crashes = std::min(plan.host[i].crashes, w.deaths[i]);
        if ((w.quiet_lines >> i & 1) != 0) plan.link[i] = {.latency = plan.link[i].latency};
    }
    if (w.partitions) plan.blackouts.clear();
    if (w.strays) plan.stray_interval = {};
    if (w.narrows) {
        plan.narrows.clear();
        for (HostPlan& h : plan.host) h.cards.clear();
    }
    plan.faults_end = earlier(plan.faults_end, w.faults_end);
    return plan;
}

class Run {
  public:
    explicit Run(const RunOptions& options)
        : plan_(draw_without(options)), network_(plan_, trace_) {
        if (!options.pcap.empty()) trace_.capture(options.pcap);
        trace_.verbose = options.verbose;
        network_.forges = options.forge;
        for (unsigned i = 0; i < plan_.host.size(); ++i) {
            hosts_.push_back(std::make_unique<Host>(plan_, i, trace_, network_, monitor_));
            hosts_[i]->fault = options.host_fault;
            hosts_[i]->app().fault = options.app_fault;
            everyone_.push_back(&hosts_[i]->app().value);
        }
        for (auto& h : hosts_) h->set_everyone(everyone_);
    }

    void play() {
        while (now_ < plan_.faults_end) advance(plan_.faults_end);
        trace_.add(now_, 0, What::faults_over);
        faults_ = false;
        network_.heal();
        for (auto& h : hosts_) h->stop_faults(now_);
        finish_transfers();
        trace_.add(now_, 0, What::all_done);
        for (auto& h : hosts_) h->begin_drain(now_);
        drain();
    }

    Outcome outcome() const {
        Outcome o{.hash = trace_.hash(), .turns = turns_, .segments = monitor_.segments(), .end = now_};
        for (const auto& h : hosts_) o.tally.add(h->tally());
        return o;
    }
    /// The last events, and what each stack dropped in this life.
    [[nodiscard]] std::string tail() const {
        std::string out = trace_.tail();
        for (unsigned i = 0; i < hosts_.size(); ++i) {
            if (!hosts_[i]->has_stack()) continue;
            out.append(std::string_view("ABCDE").substr(i, 1)).append(" dropped:");
            const Statistics& s = hosts_[i]->stack().statistics();
            for (std::size_t r = 0; r < drop_reasons; ++r) {
                if (s.drops[r] == 0) continue;
                out.append(" ").append(name(static_cast<DropReason>(r)));
                out.append("=").append(std::to_string(s.drops[r]));
            }
            out += "\n";
        }
        return out;
    }

  private:
    /// The next event, whatever it is, or `limit`.
    void advance(Instant limit) {
        Instant next = never;
        std::array<Instant, hosts_max> turn{};
        for (std::size_t i = 0; i < hosts_.size(); ++i) {
            turn[i] = hosts_[i]->next_turn(now_, faults_);
            next = earlier(next, turn[i]);
        }
        const Instant arrival = network_.next_arrival();
        const Instant t = earlier(next, earlier(arrival, limit));
        if (t > now_) at_this_instant_ = 0;
        now_ = later(now_, t);
        if (++turns_ > turns_max) throw Failure("a run comes to its end", std::to_string(turns_) + " turns");
        if (++at_this_instant_ > turns_at_one_instant_max)
            throw Failure("time goes on", "work for ever at one instant");
        if (t == arrival) {
            Network::Arrival arrived = network_.take();
            hosts_[arrived.to]->deliver(now_, std::move(arrived.frame));
        } else if (t == next) {
            // Who goes first at one instant must not always be the same one.
            std::size_t who = turns_ % hosts_.size();
            while (turn[who] != t) who = (who + 1) % hosts_.size();
            hosts_[who]->turn(now_, faults_, hosts_);
        }
    }

    [[nodiscard]] bool is_done() const {
        return std::all_of(hosts_.begin(), hosts_.end(),
                           [&](const auto& h) { return h->is_settled() && h->app().is_done(everyone_); });
    }

    void finish_transfers() {
        std::uint64_t progress = 0;
        Instant since = now_;
        Duration patience = stuck_after;
        for (const HostPlan& h : plan_.host) patience = std::max(patience, stuck_after + h.cut_interval * 6);
        while (!is_done()) {
            advance(since + patience);
            std::uint64_t p = 0;
            for (const auto& h : hosts_) p += h->app().progress();
            if (p != progress) {
                progress = p;
                since = now_;
            } else if (now_ >= since + patience) {
                std::string what = "no progress for ";
                what.append(std::to_string(patience.ns / 1'000'000'000)).append(" s\n");
                for (const auto& h : hosts_) what += h->app().unfinished();
                throw Failure("when faults stop, every transfer completes", what);
            }
        }
    }

    void drain() {
        Duration patience = drain_max;
        // A spent cookie is remembered as long as it is good.
        for (const HostPlan& h : plan_.host)
            patience = std::max(patience, drain_max + h.config.tcp.syn_cookie_lifetime + h.cut_interval * 6);
        const Instant limit = now_ + patience;
        while (true) {
            std::string left;
            for (unsigned i = 0; i < hosts_.size(); ++i) {
                if (const std::string l = hosts_[i]->leftovers(); !l.empty())
                    left.append(std::string_view("ABCDE").substr(i, 1)).append(": ").append(l);
            }
            if (left.empty()) return;
            if (now_ >= limit) throw Failure("nothing is left when everything is closed", left);
            advance(limit);
        }
    }

    Plan plan_;
    Trace trace_;
    Monitor monitor_;
    Network network_;
    std::vector<std::unique_ptr<Host>> hosts_;
    Everyone everyone_;
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
