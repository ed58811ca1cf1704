#include "support/held.hpp"

namespace keepnet::test {

void run_held(void (*body)(Way, const FixtureOptions&)) {
    for (const HeldPolicy& h : held_policies) {
        for (const Way way : {Way::plain, Way::swapped, Way::seam}) {
            DYNAMIC_SECTION("policy: " << h.name << ", way: " << name(way)) {
                body(way, FixtureOptions(h.policy));
            }
        }
    }
}

Fixture held_at(TcpPhase phase, Way way, const FixtureOptions& held) {
    Fixture t = reach(phase, way, held);
    t.auto_commit(false);
    t.snapshot().ignore_output();
    t.mark();
    return t;
}

Fixture held_established(Way way, const FixtureOptions& held) {
    return held_at(TcpPhase::established, way, held);
}

void open_held(Fixture& t) {
    t.auto_commit(true);
    open_passive(t);
    t.auto_commit(false).snapshot().ignore_output();
    t.mark();
}

}  // namespace keepnet::test
