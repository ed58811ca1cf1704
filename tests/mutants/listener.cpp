// Writes, for each test case, how long it took and which mutations it reaches: one that it does not reach it cannot see.
// A line is the case's name, milliseconds and the numbers, between tabs.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>

#include "reached.hpp"

namespace {

using Clock = std::chrono::steady_clock;

class Listener : public Catch::EventListenerBase {
  public:
    using Catch::EventListenerBase::EventListenerBase;

    void testCaseStarting(const Catch::TestCaseInfo&) override {
        (void)keepnet::mutants::take_reached();
        began_ = Clock::now();
    }

    void testCaseEnded(const Catch::TestCaseStats& stats) override {
        const char* path = std::getenv("KEEPNET_MUTANTS_REACHED");
        if (path == nullptr) return;
        std::FILE* file = std::fopen(path, "a");
        if (file == nullptr) std::abort();
        const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_);
        std::fprintf(file, "%s\t%lld\t", nameOf(stats), static_cast<long long>(took.count()));
        for (const std::uint32_t mutant : keepnet::mutants::take_reached()) std::fprintf(file, "%u ", mutant);
        std::fputc('\n', file);
        std::fclose(file);
    }

  private:
    /// Catch2 3 holds the information by a pointer.
    template <typename Stats>
    static const char* nameOf(const Stats& stats) {
        if constexpr (requires { stats.testInfo->name; }) {
            return stats.testInfo->name.c_str();
        } else {
            return stats.testInfo.name.c_str();
        }
    }

    Clock::time_point began_{};
};

}  // namespace

CATCH_REGISTER_LISTENER(Listener)
