// Each phase, reached from the one before it.
#include "support/fixture.hpp"

namespace keepnet::test {

Fixture listening(Way way, const FixtureOptions& options) {
    Fixture t(way, options);
    t.auto_commit(options.config.policy != DurabilityPolicy::none);
    t.app_listens();
    t.mark();
    return t;
}

Fixture syn_received(Way way, const FixtureOptions& options) {
    Fixture t = listening(way, options);
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1)).expect_silence().expect(TcpPhase::syn_received);
    t.mark();
    return t;
}

void open_passive(Fixture& t) {
    t.peer_sends(syn());
    t.expect(syn_ack().seq(0).ack(1));
    t.peer_sends(ack(1));
    t.app_accepts();
    t.expect_silence().expect(TcpPhase::established);
    t.mark();
}

void open_active(Fixture& t) {
    t.app_connects();
    t.expect(syn());
    t.peer_sends(syn_ack().ack(1));
    t.expect(ack(1).seq(1)).expect_silence().expect(TcpPhase::established);
    t.mark();
}

Fixture established(Way way, const FixtureOptions& options) {
    Fixture t = syn_received(way, options);
    t.peer_sends(ack(1));
    t.app_accepts();
    t.expect_silence().expect(TcpPhase::established);
    t.mark();
    return t;
}

Fixture syn_sent(Way way, const FixtureOptions& options) {
    Fixture t(way, options);
    t.auto_commit(options.config.policy != DurabilityPolicy::none);
    t.app_connects();
    t.expect(syn()).expect_silence().expect(TcpPhase::syn_sent);
    t.mark();
    return t;
}

Fixture established_active(Way way, const FixtureOptions& options) {
    Fixture t = syn_sent(way, options);
    t.peer_sends(syn_ack().ack(1));
    t.expect(ack(1).seq(1)).expect_silence().expect(TcpPhase::established);
    t.mark();
    return t;
}

Fixture fin_wait_1(Way way, const FixtureOptions& options) {
    Fixture t = established(way, options);
    t.app_shuts_down();
    t.expect(fin().seq(1).ack(1)).expect_silence().expect(TcpPhase::fin_wait_1);
    t.mark();
    return t;
}

Fixture fin_wait_2(Way way, const FixtureOptions& options) {
    Fixture t = fin_wait_1(way, options);
    t.peer_sends(ack(2));
    t.expect_silence().expect(TcpPhase::fin_wait_2);
    t.mark();
    return t;
}

Fixture close_wait(Way way, const FixtureOptions& options) {
    Fixture t = established(way, options);
    t.peer_sends(fin());
    t.expect(ack(2).seq(1)).expect_silence().expect(TcpPhase::close_wait);
    t.mark();
    return t;
}

Fixture closing(Way way, const FixtureOptions& options) {
    Fixture t = fin_wait_1(way, options);
    t.peer_sends(fin().ack(1));
    t.expect(ack(2).seq(2)).expect_silence().expect(TcpPhase::closing);
    t.mark();
    return t;
}

Fixture last_ack(Way way, const FixtureOptions& options) {
    Fixture t = close_wait(way, options);
    t.app_shuts_down();
    t.expect(fin().seq(1).ack(2)).expect_silence().expect(TcpPhase::last_ack);
    t.mark();
    return t;
}

Fixture time_wait(Way way, const FixtureOptions& options) {
    Fixture t = fin_wait_2(way, options);
    t.peer_sends(fin());
    t.expect(ack(2).seq(2)).expect_silence().expect(TcpPhase::time_wait);
    t.mark();
    return t;
}

Fixture reach(TcpPhase phase, Way way, const FixtureOptions& options) {
    switch (phase) {
        case TcpPhase::invalid:
        case TcpPhase::closed:
            return Fixture(way, options);
        case TcpPhase::listen:
            return listening(way, options);
        case TcpPhase::syn_sent:
            return syn_sent(way, options);
        case TcpPhase::syn_received:
            return syn_received(way, options);
        case TcpPhase::established:
            return established(way, options);
        case TcpPhase::fin_wait_1:
            return fin_wait_1(way, options);
        case TcpPhase::fin_wait_2:
            return fin_wait_2(way, options);
        case TcpPhase::close_wait:
            return close_wait(way, options);
        case TcpPhase::closing:
            return closing(way, options);
        case TcpPhase::last_ack:
            return last_ack(way, options);
        case TcpPhase::time_wait:
            return time_wait(way, options);
    }
    return Fixture(way, options);
}

}  // namespace keepnet::test
