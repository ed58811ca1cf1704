// DURABILITY 1 under each policy that holds output back. A HELD_CASE runs its body under all of them and
// three ways (fixture.hpp); in scope are `way` and `held`, the options of a fixture with that policy. What
// makes output durable is Fixture::cut() and commit(), whatever the policy.
#pragma once

#include "support/fixture.hpp"

namespace keepnet::test {

struct HeldPolicy {
    const char* name;
    DurabilityPolicy policy;
};
inline constexpr HeldPolicy held_policies[] = {
    {"snapshot", DurabilityPolicy::snapshot},
    {"journal", DurabilityPolicy::journal},
};

void run_held(void (*body)(Way, const FixtureOptions&));

/// In that phase, all of it durable; from now on the test commits.
Fixture held_at(TcpPhase phase, Way way, const FixtureOptions& held);
Fixture held_established(Way way, const FixtureOptions& held);
/// The same for a flow that the test has prepared, passive.
void open_held(Fixture& t);

}  // namespace keepnet::test

#define HELD_CASE(...) KEEPNET_HELD_CASE(KEEPNET_JOIN(held_case_, __LINE__), __VA_ARGS__)
#define KEEPNET_HELD_CASE(function, ...)                                                \
    static void function(::keepnet::test::Way, const ::keepnet::test::FixtureOptions&); \
    TEST_CASE(__VA_ARGS__) { ::keepnet::test::run_held(&function); }                    \
    static void function([[maybe_unused]] ::keepnet::test::Way way,                     \
                         [[maybe_unused]] const ::keepnet::test::FixtureOptions& held)
