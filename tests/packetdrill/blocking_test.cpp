// Calls that block: on a second thread, asleep in the kernel's eyes, awake at their virtual instant.
#include <netinet/tcp.h>

#include "packetdrill/rig.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr long long ms = 1000;

/// The call ended at this instant, as its own thread sees it.
void check_ended(Rig& r, long long at_us, long long result) {
    const Blocking& b = r.ended();
    CHECK(b.result == result);
    CHECK(b.ended_us >= at_us - 20);
    CHECK(b.ended_us <= at_us + 20);
}

}  // namespace

TEST_CASE("blocking: a read wakes at the instant at which its data comes") {
    Rig r;
    const int fd = r.accepted();
    char room[3000];
    r.block([&] { return r.calls.read(r.u(), fd, room, sizeof room); });
    REQUIRE(r.is_blocked());
    r.run_until(300 * ms);
    CHECK(r.is_blocked());
    r.peer_sends(1, 2000);
    const long long came = r.now_us();
    r.run_until(800 * ms);
    check_ended(r, came, 2000);
}

TEST_CASE("blocking: a read with a time-out ends when it is over, wherever the clock jumps to") {
    Rig r;
    const int fd = r.accepted();
    const timeval limit{.tv_sec = 0, .tv_usec = 250'000};
    REQUIRE(r.calls.setsockopt(r.u(), fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    char room[10];
    const long long start = r.now_us();
    r.block([&] { return r.calls.recv(r.u(), fd, room, sizeof room, 0); });
    REQUIRE(r.is_blocked());
    r.run_until(3000 * ms);
    check_ended(r, start + 250 * ms, -1);
}

TEST_CASE("blocking: an accept wakes when the handshake is complete, not before") {
    Rig r;
    const int listening = r.listener();
    r.block([&] { return r.calls.accept(r.u(), listening, nullptr, nullptr); });
    REQUIRE(r.is_blocked());
    r.run_until(100 * ms);
    r.inject(r.segment(flag::syn, 0, 0));
    r.iss = r.expect(100 * ms, flag::syn | flag::ack).seq;
    r.run_until(200 * ms);
    CHECK(r.is_blocked());
    r.inject(r.segment(flag::ack, 1, r.iss + 1));
    const long long came = r.now_us();
    const Blocking& b = r.ended();
    CHECK(b.result >= 0);
    CHECK(b.ended_us >= came - 20);
    CHECK(b.ended_us <= came + 20);
}

TEST_CASE("blocking: a connect ends with the handshake, or with the peer's refusal") {
    Rig r;
    const int fd = r.tcp_socket();
    r.block([&] { return r.connect_call(fd); });
    REQUIRE(r.is_blocked());
    const auto syn = r.expect(0, flag::syn);
    r.local_port = syn.src_port;
    r.run_until(70 * ms);
    SECTION("made") {
        r.inject(r.segment(flag::syn | flag::ack, 0, syn.seq + 1));
        check_ended(r, 70 * ms, 0);
    }
    SECTION("refused") {
        r.inject(r.segment(flag::rst | flag::ack, 0, syn.seq + 1));
        check_ended(r, 70 * ms, -1);
    }
}

TEST_CASE("blocking: a write waits until the peer has acknowledged enough") {
    Rig r;
    const int fd = r.accepted();
    const int small = 4096;
    REQUIRE(r.calls.setsockopt(r.u(), fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    const std::vector<char> text(60'000, 'w');
    r.block([&] { return r.calls.write(r.u(), fd, text.data(), text.size()); });
    REQUIRE(r.is_blocked());
    long long last = 0;
    for (std::uint32_t acknowledged = 0; acknowledged < 60'000;) {
        const auto sent = r.next();
        REQUIRE(sent.has_value());
        acknowledged = std::max<std::uint32_t>(
            acknowledged, sent->packet.tcp->seq - r.iss - 1 + static_cast<std::uint32_t>(sent->packet.tcp->payload.size()));
        if (r.is_blocked()) last = r.now_us();
        r.inject(r.segment(flag::ack, 1, r.iss + 1 + acknowledged));
    }
    check_ended(r, last, 60'000);
}

TEST_CASE("blocking: poll and epoll_wait end with their event or with their time") {
    Rig r;
    const int fd = r.accepted();
    pollfd p{fd, POLLIN, 0};
    const int set = r.calls.epoll_create(r.u(), 1);
    epoll_event e{};
    e.events = EPOLLIN;
    REQUIRE(r.calls.epoll_ctl(r.u(), set, EPOLL_CTL_ADD, fd, &e) == 0);
    const long long start = r.now_us();
    const bool by_epoll = GENERATE(false, true);
    const bool in_time = GENERATE(false, true);
    r.block([&]() -> long long {
        return by_epoll ? r.calls.epoll_wait(r.u(), set, &e, 1, 400) : r.calls.poll(r.u(), &p, 1, 400);
    });
    REQUIRE(r.is_blocked());
    if (in_time) {
        r.run_until(start + 150 * ms);
        r.peer_sends(1, 5);
        check_ended(r, start + 150 * ms, 1);
    } else {
        r.run_until(start + 5000 * ms);
        check_ended(r, start + 400 * ms, 0);
    }
}

TEST_CASE("blocking: a close that lingers ends when everything is acknowledged, or when its time is over") {
    Rig r;
    const int fd = r.accepted();
    const linger how{.l_onoff = 1, .l_linger = 2};
    REQUIRE(r.calls.setsockopt(r.u(), fd, SOL_SOCKET, SO_LINGER, &how, sizeof how) == 0);
    CHECK(r.calls.write(r.u(), fd, "bye", 3) == 3);
    const long long start = r.now_us();
    const bool answered = GENERATE(true, false);
    r.block([&] { return r.calls.close(r.u(), fd); });
    REQUIRE(r.is_blocked());
    if (answered) {
        r.run_until(start + 500 * ms);
        r.inject(r.segment(flag::ack, 1, r.iss + 5));
        check_ended(r, start + 500 * ms, 0);
    } else {
        r.run_until(start + 10'000 * ms);
        check_ended(r, start + 2000 * ms, 0);
    }
}

TEST_CASE("blocking: what a woken call does happens at the instant that woke it") {
    Rig r;
    const int fd = r.accepted();
    // The read makes room in a shut window; its update must leave at once, though the clock was on its way to far later.
    char room[100];
    r.block([&]() -> long long {
        const ssize_t n = r.calls.read(r.u(), fd, room, sizeof room);
        return n < 0 ? n : r.calls.write(r.u(), fd, "pong", 4);
    });
    REQUIRE(r.is_blocked());
    r.run_until(10 * ms);
    const long long came = r.now_us();
    r.peer_sends(1, 4);
    r.ended();
    r.run_until(900 * ms);
    std::optional<Rig::Sent> sent = r.next();
    while (sent && sent->packet.tcp->payload.empty()) sent = r.next();
    REQUIRE(sent.has_value());
    CHECK(sent->at_us <= came + 50);
}
