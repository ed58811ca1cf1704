#include "support/journaled_program.hpp"

#include <cstring>
#include <map>

#include <catch2/catch_test_macros.hpp>
#include <keepnet/checkpoint.hpp>

#include "stack/core.hpp"
#include "stack/journal_core.hpp"
#include "support/journal_config.hpp"
#include "support/segment.hpp"

namespace keepnet::test {

namespace {

using durability::EntryView;
using durability::Op;

constexpr std::size_t store_bytes = 64U
                                    << 20;  // nothing is ever truncated, and windows are not to close for it
constexpr std::size_t memory_bytes = 16U << 20;

template <class T>
T argument(const EntryView& e, std::size_t at = 0) {
    T value{};
    REQUIRE(e.arguments.size() >= at + sizeof value);
    std::memcpy(&value, e.arguments.data() + at, sizeof value);
    return value;
}

Endpoint endpoint(const EntryView& e) {
    Endpoint to;
    to.address.octets = argument<std::array<std::uint8_t, 16>>(e);
    to.port = static_cast<std::uint16_t>(argument<std::uint32_t>(e, 16));
    to.interface = static_cast<InterfaceIndex>(argument<std::uint32_t>(e, 20));
    return to;
}

template <class T>
void must_be(const std::expected<T, Error>& r, const EntryView& e) {
    INFO("replayed: " << durability::name(e.header.op));
    REQUIRE((r ? 0U : static_cast<unsigned>(r.error())) == e.header.status);
    if (!r) return;
    if constexpr (std::is_same_v<T, SocketHandle>) REQUIRE(r->raw == e.header.value);
    if constexpr (std::is_integral_v<T>) REQUIRE(static_cast<std::uint64_t>(*r) == e.header.value);
}

/// The program's next call, which was this one. `sent`: bytes by stream, of the stack's pattern.
void call_again(Stack& stack, const EntryView& e, std::map<std::uint64_t, std::uint64_t>& sent,
                const Bytes* datagram) {
    const SocketHandle s{e.header.handle};
    switch (e.header.op) {
        case Op::open_tcp:
            return must_be(stack.open_tcp(), e);
        case Op::open_udp:
            return must_be(stack.open_udp(), e);
        case Op::bind:
            return must_be(stack.bind(s, endpoint(e)), e);
        case Op::listen:
            return must_be(stack.listen(s, argument<std::uint32_t>(e)), e);
        case Op::accept:
            return must_be(stack.accept(s), e);
        case Op::connect:
            return must_be(stack.connect(s, endpoint(e)), e);
        case Op::send: {
            const auto offered = static_cast<std::size_t>(argument<std::uint64_t>(e));
            const auto r = stack.send(s, pattern_bytes(Side::stack, sent[s.raw] + 1, offered),
                                      argument<std::uint64_t>(e, 8) != 0);
            sent[s.raw] += r.value_or(0);
            return must_be(r, e);
        }
        case Op::receive: {
            Bytes room(static_cast<std::size_t>(argument<std::uint64_t>(e)));
            const auto r = stack.receive(s, room);
            REQUIRE((!r || std::equal(e.result.begin(), e.result.end(), room.begin())));
            return must_be(r, e);
        }
        case Op::shutdown:
            return must_be(stack.shutdown(s, argument<CloseDirection>(e)), e);
        case Op::close:
            return must_be(stack.close(s), e);
        case Op::abort:
            return must_be(stack.abort(s), e);
        case Op::send_datagram:
            REQUIRE(datagram != nullptr);
            // Where to is the next to be compared: the length and the digest lie before it.
            {
                Endpoint to;
                to.address.octets = argument<std::array<std::uint8_t, 16>>(e, 16);
                to.port = static_cast<std::uint16_t>(argument<std::uint32_t>(e, 32));
                return must_be(stack.send_datagram(s, {.destination = to}, *datagram), e);
            }
        case Op::set_option:
            return must_be(stack.set_option(s, static_cast<SocketOption>(argument<std::int64_t>(e)),
                                            argument<std::int64_t>(e, 8)),
                           e);
        case Op::info:
            return must_be(stack.info(s), e);
        case Op::take_error:
            return must_be(stack.take_error(s), e);
        case Op::readiness:
            return must_be(stack.readiness(s), e);
        default:
            FAIL("no program of these tests calls " << durability::name(e.header.op));
    }
}

}  // namespace

JournaledProgram::JournaledProgram(Stack& stack) : store_(store_bytes), memory_(memory_bytes) {
    store_.is_instant = false;
    auto made = Journal::create(memory_.span(), store_, {.id = journal_id});
    REQUIRE(made.has_value());
    journal_.emplace(std::move(*made));
    gate();
    REQUIRE(stack.attach_journal(*journal_).has_value());
    const auto cut = stack.cut();
    REQUIRE(cut.has_value());
    checkpoint::VectorSink sink;
    REQUIRE(checkpoint::encode(stack, *cut, {}, sink).has_value());
    base_ = std::move(sink.bytes);
    REQUIRE(stack.committed(*cut).has_value());
}

void JournaledProgram::gate() { journal_->core().closes_when_told = true; }

void JournaledProgram::seal(Stack& stack, Instant now) {
    REQUIRE_FALSE(is_writing());
    journal_->flush();
    stack.poll(now);
    REQUIRE(store_.is_busy());
}

void JournaledProgram::fail(Stack& stack, Instant now) {
    store_.fail(Error::journal_failed);
    is_failed = true;
    stack.poll(now);
    CHECK(journal_->error() == Error::journal_failed);
}

void JournaledProgram::mend(Stack& stack, Instant now) {
    store_.error = Error::invalid;
    stack.poll(now);
    REQUIRE(store_.is_busy());
    store_.sync();
    is_failed = false;
    stack.poll(now);
    CHECK(journal_->error() == Error::invalid);
}

bool JournaledProgram::is_writing() const { return !journal_->core().in_flight.empty(); }

Instant JournaledProgram::commit_wanted(Stack& stack) {
    Core& core = stack.core();
    return earlier(tcp::commit_wanted(core.tcp_context(), CommitBy::journal),
                   udp::commit_wanted(core.udp_context(), CommitBy::journal));
}

Journal& JournaledProgram::crash() {
    store_.crash();
    is_failed = false;
    memory_ = Arena(memory_bytes);
    auto again = Journal::open(memory_.span(), store_, store_.image(journal_id, store_.bytes().size()), {});
    if (!again) FAIL("journal: " << keepnet::name(again.error()));
    journal_.emplace(std::move(*again));
    gate();
    return *journal_;
}

void JournaledProgram::replay(Stack& stack) {
    std::map<std::uint64_t, std::uint64_t> sent;
    std::size_t datagram = 0;
    while (journal_->is_replaying()) {
        const durability::EntryCursor& cursor = journal_->core().replay.cursor;
        const Lsn at = cursor.position();
        const EntryView e = cursor.get();
        const bool is_datagram = e.header.op == Op::send_datagram;
        call_again(stack, e, sent,
                   is_datagram && datagram < datagrams.size() ? &datagrams[datagram] : nullptr);
        if (is_datagram) ++datagram;
        REQUIRE((!journal_->is_replaying() || cursor.position() > at));
    }
    datagrams.resize(datagram);
}

void JournaledProgram::move(Stack& from, Stack& to) {
    Core& old = from.core();
    Core& core = to.core();
    JournalCore& j = journal_->core();
    JournaledStack& s = j.stacks[old.journal_stack];
    // A decoded world does not know what was freed before it was encoded, and the next record has to say so.
    const auto free_again = [&]<class T>(const Slab<T>& was, Slab<T>& is) {
        was.for_each_changed(s.written, [&](std::uint32_t i, bool is_live) {
            if (is_live || is.is_live(i)) return;
            is.create_at(i, 1);
            is.destroy(i);
        });
    };
    World& w = old.world;
    World& v = core.world;
    free_again(w.addresses, v.addresses), free_again(w.routes, v.routes),
        free_again(w.neighbors, v.neighbors);
    free_again(w.pending_packets, v.pending_packets), free_again(w.destinations, v.destinations);
    free_again(w.sockets, v.sockets), free_again(w.connections, v.connections),
        free_again(w.listeners, v.listeners);
    free_again(w.udp_sockets, v.udp_sockets), free_again(w.datagrams, v.datagrams);
    free_again(w.slice_nodes, v.slice_nodes);
    v.cuts().flushed = w.cuts().flushed;
    v.grant_room = w.grant_room;
    core.journal = &j;
    core.journal_stack = old.journal_stack;
    s.core = &core;
    s.cuts = {};
}

}  // namespace keepnet::test
