#include "sim/self_test.hpp"

#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/run.hpp"
#include "support/packet.hpp"

namespace keepnet::sim {

namespace {

using test::Bytes;

constexpr std::uint64_t tries = 200;

/// Sound seeds pass, and with the fault some seed fails; every one that does names a property from the list.
bool is_noticed(const char* what, const std::function<void(RunOptions&)>& break_it,
                const std::vector<std::string_view>& properties) {
    std::uint64_t noticed = 0;
    for (std::uint64_t seed = 1; seed <= tries; ++seed) {
        RunOptions options{.seed = seed};
        break_it(options);
        const Outcome o = run(options);
        if (o.ok) continue;
        bool named = false;
        for (const std::string_view p : properties) named = named || o.property == p;
        if (!named) {
            std::fprintf(stderr, "self-test: %s: seed %llu failed by another property: %s: %s\n", what,
                         static_cast<unsigned long long>(seed), o.property.c_str(), o.detail.c_str());
            return false;
        }
        ++noticed;
    }
    std::fprintf(stderr, "self-test: %s: noticed in %llu of %llu seeds\n", what,
                 static_cast<unsigned long long>(noticed), static_cast<unsigned long long>(tries));
    return noticed != 0;
}

/// A little trace by hand: client 1000 on host 0, server 80 on host 1, both scale by 2, handshake done.
class Script {
  public:
    Script() {
        send(0, {.src_port = 1000,
                 .dst_port = 80,
                 .seq = 100,
                 .flags = syn,
                 .window = 1000,
                 .wscale = 2,
                 .ts = {{50, 0}}});
        send(1, {.src_port = 80,
                 .dst_port = 1000,
                 .seq = 900,
                 .ack = 101,
                 .flags = syn | ack,
                 .window = 1000,
                 .wscale = 2,
                 .ts = {{70, 50}}});
        client();
    }
    /// An ACK of the client, or data; window 250 is an edge of 901 + 1000.
    void client(std::uint32_t seq = 101, std::uint32_t ack_to = 901, std::uint16_t window = 250,
                std::uint32_t tsval = 51, std::size_t bytes = 0) {
        send(0, {.src_port = 1000,
                 .dst_port = 80,
                 .seq = seq,
                 .ack = ack_to,
                 .flags = ack,
                 .window = window,
                 .ts = {{tsval, 70}},
                 .payload = Bytes(bytes)});
    }
    void send(unsigned host, const test::TcpFields& fields) {
        const Ipv6Address from = address_of(host), to = address_of(1 - host);
        frame(host, test::ethernet({{2, 0, 0, 0, 0, 2}}, {{2, 0, 0, 0, 0, 1}}, 0x86dd,
                                   test::ip_packet({.src = from, .dst = to, .next_header = test::proto_tcp},
                                                   test::tcp_segment(from, to, fields))));
    }
    void frame(unsigned host, Bytes bytes) { monitor.on_frame(host, bytes, facts); }
    /// From now on host 0 is held, and this much is durable.
    void durable(std::uint32_t snd_end, std::uint32_t rcv_nxt) {
        monitor.set_durable(0, Monitor::Record{{Monitor::key_of(1, 1000, 80), {snd_end, rcv_nxt, true, false}}});
    }
    Monitor monitor;
    Monitor::Facts facts;
};

/// Passes up to its last step, which the monitor must refuse by that property ("": must not refuse).
bool monitor_says(std::string_view property, const std::function<void(Script&)>& steps) {
    std::string said;
    try {
        Script s;
        steps(s);
    } catch (const Failure& f) {
        said = f.property;
    }
    if (said == property) return true;
    std::fprintf(stderr, "self-test: the monitor said \"%s\", not \"%s\"\n", said.c_str(),
                 std::string(property).c_str());
    return false;
}

bool test_monitor() {
    bool ok = true;
    const auto check = [&](std::string_view property, const std::function<void(Script&)>& steps) {
        ok = monitor_says(property, steps) && ok;
    };
    check("", [](Script& s) { s.client(101, 901, 251, 51, 10), s.client(111, 905, 250, 60); });
    check("the window's right edge never goes back", [](Script& s) { s.client(101, 901, 249); });
    check("the window's right edge never goes back",
          [](Script& s) { s.client(101, 904, 249), s.client(101, 904, 248); });
    check("the ACK never goes back", [](Script& s) { s.client(101, 1001), s.client(101, 997, 251); });
    check("TSval never goes back", [](Script& s) { s.client(101, 901, 250, 50); });
    check("nothing is sent beyond the peer's window", [](Script& s) { s.client(1095, 901, 250, 51, 10); });
    check("", [](Script& s) { s.durable(111, 901), s.client(101, 901, 250, 51, 10); });
    check("nothing is sent above what is durable",
          [](Script& s) { s.durable(111, 901), s.client(101, 901, 250, 51, 11); });
    check("nothing is sent above what is durable", [](Script& s) { s.durable(101, 901), s.client(102); });
    check("no ACK above what is durable", [](Script& s) { s.durable(111, 901), s.client(101, 902); });
    check("a connection that is not durable is silent",
          [](Script& s) { s.monitor.set_durable(0, Monitor::Record{}), s.client(); });
    check("", [](Script& s) {
        s.facts.withholds = true;
        for (int i = 0; i < 3; ++i) s.facts.now = Instant{i * 30'000'000}, s.client(101, 901, 250);
        for (int i = 0; i < 3; ++i) s.facts.now = Instant{500'000'000 + i * 30'000'000}, s.client(101, 901, 250);
    });
    check("withheld ACKs are no duplicates", [](Script& s) {
        s.facts.withholds = true;
        for (int i = 0; i < 4; ++i) s.facts.now = Instant{i * 30'000'000}, s.client(101, 901, 250);
    });
    const auto reset = [](Script& s) {
        s.send(0, {.src_port = 1000, .dst_port = 80, .seq = 101, .flags = rst});
    };
    const auto server_ends = [](Script& s) {
        s.send(1, {.src_port = 80, .dst_port = 1000, .seq = 901, .ack = 101, .flags = fin | ack, .window = 250, .ts = {{71, 51}}});
    };
    check("no reset before the embedder is ready", [&](Script& s) {
        s.facts.is_ready = s.facts.has_connection = false;
        reset(s);
    });
    check("no reset while the peer's end is not acknowledged", [&](Script& s) {
        server_ends(s);
        s.facts.has_connection = false;
        reset(s);
    });
    check("", [&](Script& s) {
        server_ends(s), s.client(101, 902, 250);
        s.facts.has_connection = false;
        reset(s);
    });
    const auto restarts = [](Script& s, bool end_told) {
        s.monitor.set_durable(0, Monitor::Record{{Monitor::key_of(1, 1000, 80), {101, 902, true, false, end_told}}});
    };
    check("", [&](Script& s) {
        server_ends(s), restarts(s, true);
        s.facts.has_connection = false;
        reset(s);
    });
    check("no reset while the peer's end is not acknowledged", [&](Script& s) {
        server_ends(s), restarts(s, false);
        s.facts.has_connection = false;
        reset(s);
    });
    check("a stack sends sound frames", [](Script& s) {
        s.send(0, {.src_port = 1000,
                   .dst_port = 80,
                   .seq = 101,
                   .flags = ack,
                   .payload = Bytes(9),
                   .bad_checksum = true});
    });
    std::fprintf(stderr, "self-test: wire monitor: %s\n", ok ? "as it should be" : "WRONG");
    return ok;
}

}  // namespace

bool self_test() {
    static constexpr std::string_view bytes = "every byte exactly once and in order",
                                      unsent = "no byte arrives that was not sent",
                                      offsets = "stream offsets are the application's positions",
                                      sockets = "every socket comes back",
                                      known = "the sender knows what it sent",
                                      stuck = "when faults stop, every transfer completes",
                                      reset = "no reset that nobody caused",
                                      again = "what was acknowledged is there after a restart",
                                      sent = "what was sent is known after a restart",
                                      durable = "what was durable is there after a restart",
                                      once = "a connection is accepted once", handle = "a handle stays valid",
                                      end = "no end that nobody wrote",
                                      edge = "the window's right edge never goes back",
                                      ack_back = "the ACK never goes back",
                                      datagram = "a held datagram waits for its commit",
                                      call = "no call fails that cannot",
                                      early = "nothing is sent above what is durable",
                                      early_ack = "no ACK above what is durable",
                                      silent = "a connection that is not durable is silent",
                                      listen = "a listener stays one",
                                      left = "nothing is left when everything is closed",
                                      tsval = "TSval never goes back",
                                      end_reset = "no reset while the peer's end is not acknowledged",
                                      replayed = "a program that does the same is replayed",
                                      restores = "a committed snapshot restores",
                                      duplicate = "withheld ACKs are no duplicates";
    bool ok = test_monitor();
    ok = is_noticed("sound hosts", [](RunOptions&) {}, {}) == false &&
         ok;  // none fails, so nothing is noticed
    ok = is_noticed("an application that loses a byte when it comes back",
                    [](RunOptions& o) { o.app_fault = AppFault::loses_a_byte; }, {bytes, offsets, unsent}) &&
         ok;
    ok = is_noticed("an application that takes without consuming",
                    [](RunOptions& o) { o.app_fault = AppFault::takes_twice; }, {bytes, offsets, unsent}) &&
         ok;
    ok = is_noticed("an application that takes bytes when they are announced, and has them later",
                    [](RunOptions& o) { o.app_fault = AppFault::takes_early; }, {bytes, offsets, unsent, stuck}) &&
         ok;
    ok = is_noticed("an application that does not come back with its stack",
                    [](RunOptions& o) { o.host_fault = HostFault::keeps_application; },
                    {bytes, offsets, sockets, unsent, stuck, handle, known, listen, once, end, call, left, end_reset, reset, replayed}) &&
         ok;
    ok = is_noticed("a host that says durable too early",
                    [](RunOptions& o) { o.host_fault = HostFault::commits_early; },
                    {bytes, unsent, stuck, reset, again, sent, known, once, end, edge, ack_back, datagram,
                     early, early_ack, silent, tsval, end_reset, duplicate, restores, durable}) &&
         ok;
    ok = is_noticed("a network that changes bytes and mends the checksum",
                    [](RunOptions& o) { o.forge = true; }, {bytes}) &&
         ok;
    return ok;
}

}  // namespace keepnet::sim
