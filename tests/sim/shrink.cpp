#include "sim/shrink.hpp"

namespace keepnet::sim {

namespace {

constexpr unsigned runs_max = 300;

class Shrinker {
  public:
    Shrinker(const RunOptions& options, const Outcome& failed)
        : options_(options), property_(failed.property), best_(failed.end), plan_(draw(options.seed, options.setting)) {}

    Shrunk shrink() {
        for (bool again = true; again && result_.runs < runs_max;) {
            again = false;
            for (std::uint32_t id = 1; id <= plan_.connections.size(); ++id) {
                if (!has(id)) again = attempt([&](Without& w) { w.connections.push_back(id); }) || again;
            }
            for (unsigned host = 0; host < plan_.host.size(); ++host) again = fewer_deaths(host) || again;
            for (unsigned host = 0; host < plan_.host.size(); ++host) {
                const auto bit = 1U << host;
                if ((now().quiet_lines & bit) == 0)
                    again = attempt([&](Without& w) { w.quiet_lines |= bit; }) || again;
            }
            if (!now().partitions) again = attempt([](Without& w) { w.partitions = true; }) || again;
            if (!now().strays) again = attempt([](Without& w) { w.strays = true; }) || again;
            if (!now().narrows) again = attempt([](Without& w) { w.narrows = true; }) || again;
            again = shorter() || again;
        }
        describe();
        return result_;
    }

  private:
    [[nodiscard]] const Without& now() const { return result_.without; }
    [[nodiscard]] bool has(std::uint32_t id) const {
        for (const std::uint32_t i : now().connections) {
            if (i == id) return true;
        }
        return false;
    }
    /// Keeps the change if the property still fails, not later than before.
    template <class F>
    bool attempt(F&& change) {
        if (result_.runs >= runs_max) return false;
        RunOptions o = options_;
        o.without = result_.without;
        change(o.without);
        ++result_.runs;
        const Outcome outcome = run(o);
        if (outcome.ok || outcome.property != property_) return false;
        result_.without = o.without;
        best_ = outcome.end;
        return true;
    }
    bool fewer_deaths(unsigned host) {
        unsigned deaths = std::min(plan_.host[host].crashes, now().deaths[host]);
        if (plan_.host[host].life == Life::steady || deaths == 0) return false;
        bool any = false;
        if (attempt([&](Without& w) { w.deaths[host] = 0; })) return true;
        for (; deaths > 1 && attempt([&](Without& w) { w.deaths[host] = deaths - 1; }); --deaths) any = true;
        return any;
    }
    /// The faults end earlier.
    bool shorter() {
        bool any = false;
        for (int i = 0; i < 12; ++i) {
            const Instant end = earlier(earlier(plan_.faults_end, now().faults_end), best_);
            const Instant half{end.ns - end.ns / (i < 6 ? 2 : 8)};
            if (half.ns < 1'000'000 || !attempt([&](Without& w) { w.faults_end = half; })) break;
            any = true;
        }
        return any;
    }
    void describe() {
        std::string& d = result_.description;
        const auto add = [&](const std::string& what) {
            if (!d.empty()) d.append(", ");
            d.append(what);
        };
        const auto n = [](auto v) { return std::to_string(v); };
        add(n(plan_.connections.size() - now().connections.size()) + " of " + n(plan_.connections.size()) +
            " connections");
        for (unsigned i = 0; i < plan_.host.size(); ++i) {
            if (now().deaths[i] < plan_.host[i].crashes)
                add(std::string("ABCDE").substr(i, 1) + " dies at most " + n(now().deaths[i]) + " times");
            if ((now().quiet_lines >> i & 1) != 0) add(std::string("ABCDE").substr(i, 1) + "'s line is good");
        }
        if (now().partitions) add("no partitions");
        if (now().strays) add("no strays");
        if (now().narrows) add("no other MTU");
        if (now().faults_end != never) add("faults for " + n(now().faults_end.ns / 1000) + " us");
    }

    RunOptions options_;
    std::string property_;
    Instant best_;
    Plan plan_;
    Shrunk result_{};
};

}  // namespace

Shrunk shrink(const RunOptions& options, const Outcome& failed) { return Shrinker(options, failed).shrink(); }

}  // namespace keepnet::sim
