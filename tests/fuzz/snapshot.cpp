// Any bytes as a snapshot, or as a base and increments, one after the other: an error, or a state that may run, and then
// runs. The checksums are made right first, or the fuzzer would never get past them.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "base/digest.hpp"
#include "checkpoint/format.hpp"
#include "durability/attach.hpp"
#include "stack/core.hpp"
#include "support/sample_config.hpp"

using namespace keepnet;

namespace {

std::vector<std::uint8_t> signed_copy(const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint8_t> bytes(data, data + size);
    if (size < checkpoint::prelude_bytes + checkpoint::ending_bytes || size % 8 != 0) return bytes;
    std::copy(checkpoint::prelude_magic.begin(), checkpoint::prelude_magic.end(), bytes.begin());
    std::copy(checkpoint::ending_magic.begin(), checkpoint::ending_magic.end(), bytes.end() - 16);
    Digest digest;
    digest.add(bytes.data(), size - 8);
    for (std::size_t i = 0; i < 8; ++i) {
        bytes[size - 8 + i] = static_cast<std::uint8_t>(digest.value() >> (8 * i));
    }
    return bytes;
}

/// A part ends where a snapshot's end stands, and the last one with the input.
std::vector<std::vector<std::uint8_t>> parts_of(const std::uint8_t* data, std::size_t size) {
    std::vector<std::vector<std::uint8_t>> parts;
    std::size_t from = 0;
    for (std::size_t at = checkpoint::prelude_bytes; at + checkpoint::ending_bytes < size && parts.size() < 8; at += 8) {
        if (!std::equal(checkpoint::ending_magic.begin(), checkpoint::ending_magic.end(), data + at)) continue;
        parts.push_back(signed_copy(data + from, at + checkpoint::ending_bytes - from));
        from = at + checkpoint::ending_bytes;
    }
    parts.push_back(signed_copy(data + from, size - from));
    return parts;
}

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

/// Takes every frame and brings none.
class Sink final : public LinkDevice {
  public:
    [[nodiscard]] LinkCapabilities capabilities() const override { return {.mac = {{2, 0, 0, 0, 0, 1}}}; }
    [[nodiscard]] LinkState link_state() const override { return LinkState::up; }
    std::size_t receive(FramePool&, std::span<RxFrame>) override { return 0; }
    std::size_t transmit(std::span<const TxFrame> frames) override { return frames.size(); }
};

void poll_for_a_while(Stack& stack) {
    Instant now = stack.core().now();
    for (int i = 0; i < 20; ++i) {
        const PollResult result = stack.poll(now);
        while (stack.next_ready()) {}
        if (result.next_deadline == never) break;
        now = later(now + milliseconds(1), result.next_deadline);
    }
}

/// What an application does with each kind of socket; whatever fits.
void use(Stack& stack, SocketHandle s) {
    std::array<std::uint8_t, 300> bytes{};
    (void)stack.claim(s);
    (void)stack.info(s);
    (void)stack.take_error(s);
    (void)stack.receive(s, bytes);
    (void)stack.send(s, bytes);
    if (const auto child = stack.accept(s)) (void)stack.send(*child, bytes);
    if (stack.peek_datagram(s)) (void)stack.consume_datagram(s);
    (void)stack.send_datagram(s, {.destination = {ipv6_loopback, 9, 0}}, bytes);
}

void run(Stack& stack) {
    Sink device;
    (void)stack.attach_device(device, {});
    poll_for_a_while(stack);
    for (SocketHandle s = stack.next_socket({}); s; s = stack.next_socket(s)) use(stack, s);
    if (const auto cut = stack.cut()) {
        checkpoint::VectorSink sink;
        require(checkpoint::encode(stack, *cut, {}, sink).has_value(), "a state that cannot be encoded");
        require(stack.committed(*cut).has_value(), "a cut that cannot be committed");
    }
    poll_for_a_while(stack);
    require(!durability::find_fault(stack.core().world, {1, 2}), "ran into a state that may not run");
    for (SocketHandle s = stack.next_socket({}); s;) {
        const SocketHandle next = stack.next_socket(s);
        (void)stack.close(s);
        s = next;
    }
    poll_for_a_while(stack);
}

}  // namespace

extern "C" [[noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line) {
    std::fprintf(stderr, "%s:%u: %s\n", file, line, expression);
    std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const StackConfig config = test::sample_config();
    static const std::size_t arena_bytes = Stack::arena_bytes(config);
    static std::byte* const arena = static_cast<std::byte*>(
        ::mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    const auto as_given = checkpoint::summarize({data, size});
    require(as_given.has_value() || !as_given.error().message.empty(), "an error without a message");
    const auto parts = parts_of(data, size);
    const std::vector<ByteView> chain(parts.begin(), parts.end());
    checkpoint::VectorSink whole;
    const bool is_compacted = checkpoint::compact(chain, whole).has_value();
    auto restored = checkpoint::restore({arena, arena_bytes}, config, chain, {.now = Instant{} + seconds(1)});
    if (!restored) {
        require(!restored.error().message.empty(), "an error without a message");
        return 0;
    }
    require(!durability::find_fault(restored->stack.core().world, {1, 2}), "restored to a state that may not run");
    restored->stack.ready(false);
    run(restored->stack);
    require(is_compacted, "what can be restored can be compacted");
    restored = checkpoint::restore({arena, arena_bytes}, config, whole.bytes, {.now = Instant{} + seconds(1)});
    require(restored.has_value(), "what was compacted can be restored");
    return 0;
}
