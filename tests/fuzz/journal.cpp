// Any entries as a journal: an error, or a state that may run, and calls that are served. The record around them is made
// right first, or the fuzzer would never get past its digests.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <keepnet/checkpoint.hpp>
#include <keepnet/journal.hpp>

#include "durability/attach.hpp"
#include "durability/journal_format.hpp"
#include "stack/core.hpp"
#include "support/journal_config.hpp"

using namespace keepnet;
using test::journal_id;

namespace {

constexpr std::size_t log_bytes = 1U << 20;

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

void require_sound(const Stack& stack, const char* what) {
    const auto fault = durability::find_fault(stack.core().world, {1, 2});
    if (!fault) return;
    std::fprintf(stderr, "kind %u, slot %u: %.*s\n", static_cast<unsigned>(fault->kind), fault->index,
                 static_cast<int>(fault->what.size()), fault->what.data());
    require(false, what);
}

std::byte* map(std::size_t bytes) {
    return static_cast<std::byte*>(
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/// Takes everything, keeps nothing.
class NoStore final : public JournalStore {
  public:
    [[nodiscard]] std::uint64_t capacity() const override { return log_bytes; }
    bool write(Lsn at, ByteView bytes) override { return durable_ = at + bytes.size(), true; }
    Status status() override { return {durable_, Error::invalid}; }
    void truncate(Lsn) override {}

  private:
    Lsn durable_ = 0;
};

class Sink final : public LinkDevice {
  public:
    [[nodiscard]] LinkCapabilities capabilities() const override { return {.mac = {{2, 0, 0, 0, 0, 1}}}; }
    [[nodiscard]] LinkState link_state() const override { return LinkState::up; }
    std::size_t receive(FramePool&, std::span<RxFrame>) override { return 0; }
    std::size_t transmit(std::span<const TxFrame> frames) override { return frames.size(); }
};

struct Memory {
    StackConfig config = test::journal_config(DurabilityPolicy::journal);
    std::size_t arena_bytes = Stack::arena_bytes(config);
    std::byte* arena = map(arena_bytes);
    std::byte* journal = map(Journal::memory_bytes_min);
    std::uint8_t* log = reinterpret_cast<std::uint8_t*>(map(log_bytes));
    std::vector<std::uint8_t> snapshot{};

    /// A snapshot of a server, taken at the journal's first place.
    Memory() {
        NoStore store;
        auto first = *Journal::create({journal, Journal::memory_bytes_min}, store, {.id = journal_id});
        auto stack = *Stack::create({arena, arena_bytes}, config, {});
        require(stack.attach_journal(first).has_value(), "attach");
        Sink device;
        const auto nic = *stack.attach_device(device, {});
        (void)stack.add_address(nic, Ipv6Address::from_words({0xfd00, 0, 0, 0, 0, 0, 0, 1}), 64);
        const auto socket = *stack.open_tcp();
        (void)stack.bind(socket, {.port = 7});
        (void)stack.listen(socket, 8);
        const auto cut = *stack.cut();
        // The fuzzer's record begins at 0, and so does the snapshot's part of it.
        checkpoint::VectorSink sink;
        require(checkpoint::encode(stack, cut, {}, sink).has_value(), "encode");
        from = stack.core().world.stack().journal_lsn;
        snapshot = sink.bytes;
    }
    Lsn from = 0;
};

/// Does what a program may do; what it gets comes from the journal while there is one.
void use(Stack& stack, Journal& journal) {
    std::array<std::uint8_t, 300> bytes{};
    Instant now = stack.core().now();
    for (int turn = 0; turn < 200; ++turn) {
        stack.poll(now);
        now = now + milliseconds(20);
        (void)journal.now(now);
        for (int n = 0; n < 50; ++n) {
            const auto s = stack.next_ready();
            if (!s) break;
            std::array<ByteView, 4> views{};
            (void)stack.accept(*s);
            (void)stack.receive(*s, bytes);
            (void)stack.peek(*s, views);
            (void)stack.send(*s, bytes);
            (void)stack.info(*s);
            (void)stack.peek_datagram(*s);
            (void)journal.note(bytes);
        }
    }
}

}  // namespace

extern "C" [[noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line) {
    std::fprintf(stderr, "%s:%u: %s\n", file, line, expression);
    std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Memory m;
    const std::size_t payload = std::min(size, log_bytes / 2) & ~std::size_t{7};
    // A record up to the snapshot's place, and the fuzzer's own behind it.
    std::fill_n(m.log, static_cast<std::size_t>(m.from) + payload + 256, std::uint8_t{0});
    const MutableBytes log{m.log, log_bytes};
    const auto lead = static_cast<std::size_t>(m.from);
    durability::EntryHeader filler{.op = durability::Op::cut};
    filler.bytes = static_cast<std::uint32_t>(lead - sizeof(durability::RecordHeader) - sizeof filler);
    std::memcpy(m.log + sizeof(durability::RecordHeader), &filler, sizeof filler);
    durability::seal_record(log.first(lead), {.lsn = 0, .id = journal_id});
    const std::size_t second = sizeof(durability::RecordHeader) + payload;
    if (payload != 0) std::memcpy(m.log + lead + sizeof(durability::RecordHeader), data, payload);
    durability::seal_record(log.subspan(lead, second), {.lsn = lead, .id = journal_id});

    NoStore store;
    const auto mode = size % 2 == 0 ? ReplayMode::strict : ReplayMode::bytes;
    auto journal = Journal::open({m.journal, Journal::memory_bytes_min}, store, {journal_id, 0, log}, {.mode = mode});
    if (!journal) return 0;
    auto back = checkpoint::restore({m.arena, m.arena_bytes}, m.config, m.snapshot,
                                    {.now = Instant{} + seconds(1), .journal = &*journal});
    if (!back) {
        require(!back.error().message.empty(), "an error without a message");
        return 0;
    }
    require_sound(back->stack, "restored to a state that may not run");
    Sink device;
    (void)back->stack.attach_device(device, {});
    use(back->stack, *journal);
    require_sound(back->stack, "ran into a state that may not run");
    return 0;
}
