// Dialogues of every kind through the library's one symbol, on the thread that drives.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "packetdrill/rig.hpp"

using namespace keepnet;
using namespace keepnet::test;

namespace {

constexpr long long ms = 1000;

}  // namespace

TEST_CASE("dialogue: a connection that does not wait is made, writes, reads, and ends") {
    Rig r;
    const int fd = r.tcp_socket(true);
    errno = 0;
    CHECK(r.connect_call(fd) == -1);
    CHECK(errno == EINPROGRESS);
    const auto syn = r.expect(0, flag::syn);
    CHECK(syn.mss == 1460);
    r.local_port = syn.src_port;
    r.iss = syn.seq;

    r.run_until(100 * ms);
    auto answer = r.segment(flag::syn | flag::ack, 0, r.iss + 1);
    answer.mss = 1000;
    r.inject(answer);
    r.expect(100 * ms, flag::ack);
    int error = -1;
    socklen_t length = sizeof error;
    REQUIRE(r.calls.getsockopt(r.u(), fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0);
    CHECK(error == 0);

    CHECK(r.calls.write(r.u(), fd, "hello", 5) == 5);
    const auto text = r.expect(100 * ms, flag::psh | flag::ack, 5);
    CHECK(text.payload == Bytes{'h', 'e', 'l', 'l', 'o'});
    r.inject(r.segment(flag::ack, 1, r.iss + 6));
    auto reply = r.segment(flag::ack | flag::psh, 1, r.iss + 6);
    reply.payload = {'y', 'o'};
    r.inject(reply);
    char room[8] = {};
    CHECK(r.calls.read(r.u(), fd, room, sizeof room) == 2);
    CHECK(std::string(room) == "yo");

    CHECK(r.calls.close(r.u(), fd) == 0);
    std::uint8_t flags = 0;
    while ((flags & flag::fin) == 0) {
        const auto sent = r.next();
        REQUIRE(sent.has_value());
        flags = sent->packet.tcp->flags;
    }
    r.inject(r.segment(flag::fin | flag::ack, 3, r.iss + 7));
    r.expect(r.now_us(), flag::ack);
}

TEST_CASE("dialogue: nothing that the driving thread calls waits, whatever the descriptor's flags") {
    Rig r;
    const int listening = r.listener();
    errno = 0;
    CHECK(r.calls.accept(r.u(), listening, nullptr, nullptr) == -1);
    CHECK(errno == EAGAIN);
    CHECK((r.calls.fcntl(r.u(), listening, F_GETFL) & O_NONBLOCK) == 0);
    r.peer_connects();
    const int fd = r.calls.accept(r.u(), listening, nullptr, nullptr);
    REQUIRE(fd >= 0);
    char room[16];
    errno = 0;
    CHECK(r.calls.read(r.u(), fd, room, sizeof room) == -1);
    CHECK(errno == EAGAIN);
    const long long before = r.now_us();
    pollfd p{fd, POLLIN, 0};
    CHECK(r.calls.poll(r.u(), &p, 1, 5000) == 0);
    CHECK(r.now_us() - before < 20);
    errno = 0;
    CHECK(r.calls.connect(r.u(), r.tcp_socket(), nullptr, 28) == -1);
    CHECK(errno == EFAULT);
}

TEST_CASE("dialogue: the clock goes on by a microsecond a look, and by what is slept") {
    Rig r;
    const long long a = r.now_us();
    const long long b = r.now_us();
    CHECK(b > a);
    REQUIRE(r.calls.usleep(r.u(), 700'000) == 0);
    const long long c = r.now_us();
    CHECK(c >= b + 700'000);
    CHECK(c <= b + 700'010);
}

TEST_CASE("dialogue: a retransmission comes at its virtual instant, whoever waits for it") {
    Rig r;
    const int fd = r.tcp_socket(true);
    CHECK(r.connect_call(fd) == -1);
    const auto syn = r.expect(0, flag::syn);
    SECTION("the one who receives: an empty wire jumps to the next deadline") {
        const auto again = r.expect(1000 * ms, flag::syn);
        CHECK(again.seq == syn.seq);
    }
    SECTION("the one who sleeps: what left meanwhile has the instant at which it left") {
        r.run_until(2500 * ms);
        const auto again = r.expect(1000 * ms, flag::syn);
        CHECK(again.seq == syn.seq);
    }
}

TEST_CASE("dialogue: when nothing will ever come, receiving gives up") {
    Rig r;
    CHECK_FALSE(r.next().has_value());
    r.listener();
    CHECK_FALSE(r.next().has_value());
}

TEST_CASE("dialogue: a delayed acknowledgement waits for its time") {
    Rig r(",quickack=0");
    const int fd = r.accepted();
    r.peer_sends(1, 100);
    const long long sent_at = r.now_us();
    const auto ack = r.next();
    REQUIRE(ack.has_value());
    CHECK(ack->packet.tcp->ack == 101);
    CHECK(ack->at_us >= sent_at + 20 * ms);
    CHECK(ack->at_us <= sent_at + 200 * ms);
    CHECK(r.calls.close(r.u(), fd) == 0);
}

TEST_CASE("dialogue: a port where nobody listens answers with a reset") {
    Rig r;
    r.listener(80);
    r.local_port = 81;
    r.inject(r.segment(flag::syn, 7, 0));
    const auto reset = r.expect(r.now_us(), flag::rst | flag::ack);
    CHECK(reset.ack == 8);
}

TEST_CASE("dialogue: the peer's reset ends a read, and a close with unread data resets the peer") {
    Rig r;
    const int fd = r.accepted();
    char room[16];
    SECTION("from the peer") {
        r.inject(r.segment(flag::rst, 1, 0));
        errno = 0;
        CHECK(r.calls.read(r.u(), fd, room, sizeof room) == -1);
        CHECK(errno == ECONNRESET);
    }
    SECTION("to the peer") {
        r.peer_sends(1, 10);
        CHECK(r.calls.close(r.u(), fd) == 0);
        std::optional<Rig::Sent> sent = r.next();
        while (sent && (sent->packet.tcp->flags & flag::rst) == 0) sent = r.next();
        REQUIRE(sent.has_value());
        CHECK(flags_text(sent->packet.tcp->flags) == flags_text(flag::rst | flag::ack));
    }
}

TEST_CASE("dialogue: a packet larger than the MTU may come, and what leaves never is") {
    Rig r;
    const int fd = r.accepted();
    r.peer_sends(1, 9000);
    std::vector<char> room(20000, 'x');
    CHECK(r.calls.read(r.u(), fd, room.data(), room.size()) == 9000);
    CHECK(std::string(room.data(), 9000) == std::string(9000, 'p'));
    CHECK(r.calls.write(r.u(), fd, room.data(), 4500) == 4500);
    std::size_t text = 0;
    while (text < 4500) {
        const auto sent = r.next();
        REQUIRE(sent.has_value());
        CHECK(sent->packet.ip.size() <= 1520);
        text += sent->packet.tcp->payload.size();
    }
    CHECK(text == 4500);
    const Bytes rubbish(60, 0x45);
    CHECK(r.calls.netdev_send(r.u(), rubbish.data(), rubbish.size()) == -1);
}

TEST_CASE("dialogue: an epoll set tells once of what is edge-triggered, and again and again of what is level-triggered") {
    Rig r;
    const int fd = r.accepted();
    const int set = r.calls.epoll_create(r.u(), 1);
    REQUIRE(set >= 0);
    CHECK(fcntl(set, F_GETFD) >= 0);  // a descriptor of the kernel too
    CHECK(fcntl(fd, F_GETFD) >= 0);
    epoll_event wanted{};
    epoll_event seen{};
    SECTION("edge") {
        wanted.events = EPOLLIN | EPOLLET;
        wanted.data.fd = fd;
        REQUIRE(r.calls.epoll_ctl(r.u(), set, EPOLL_CTL_ADD, fd, &wanted) == 0);
        CHECK(r.calls.epoll_wait(r.u(), set, &seen, 1, 0) == 0);
        r.peer_sends(1, 10);
        CHECK(r.calls.epoll_wait(r.u(), set, &seen, 1, 0) == 1);
        CHECK(seen.events == EPOLLIN);
        CHECK(seen.data.fd == fd);
        CHECK(r.calls.epoll_wait(r.u(), set, &seen, 1, 0) == 0);
        r.peer_sends(11, 10);
        CHECK(r.calls.epoll_wait(r.u(), set, &seen, 1, 0) == 1);
    }
    SECTION("level") {
        wanted.events = EPOLLIN;
        wanted.data.fd = fd;
        REQUIRE(r.calls.epoll_ctl(r.u(), set, EPOLL_CTL_ADD, fd, &wanted) == 0);
        r.peer_sends(1, 10);
        CHECK(r.calls.epoll_wait(r.u(), set, &seen, 1, 0) == 1);
        CHECK(r.calls.epoll_wait(r.u(), set, &seen, 1, 0) == 1);
        char room[10];
        CHECK(r.calls.recv(r.u(), fd, room, sizeof room, 0) == 10);
        CHECK(r.calls.epoll_wait(r.u(), set, &seen, 1, 0) == 0);
    }
}

TEST_CASE("dialogue: a pipe takes what a socket has, and a socket what a pipe has") {
    Rig r;
    const int fd = r.accepted();
    int ends[2] = {-1, -1};
    REQUIRE(r.calls.pipe(r.u(), ends) == 0);
    r.peer_sends(1, 300);
    loff_t nowhere = 0;
    CHECK(r.calls.splice(r.u(), fd, &nowhere, ends[1], &nowhere, 1000, 0) == 300);
    CHECK(r.calls.splice(r.u(), ends[0], &nowhere, fd, &nowhere, 1000, 0) == 300);
    std::optional<Rig::Sent> sent = r.next();
    while (sent && sent->packet.tcp->payload.empty()) sent = r.next();
    REQUIRE(sent.has_value());
    CHECK(sent->packet.tcp->payload == Bytes(300, 'p'));
    r.calls.close(r.u(), ends[0]);
    r.calls.close(r.u(), ends[1]);
}

TEST_CASE("dialogue: what the tool closes by itself does not trouble the library") {
    Rig r;
    const int fd = r.accepted();
    CHECK(close(fd) == 0);
    r.inject(r.segment(flag::rst, 1, 0));
    r.run_until(r.now_us() + 5000 * ms);
}
