// Any bytes as a snapshot: an error, or a state that may run, and then runs. The checksum is made right first, or the
// fuzzer would never get past it.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <keepnet/checkpoint.hpp>

#include "checkpoint/digest.hpp"
#include "checkpoint/format.hpp"
#include "durability/attach.hpp"
#include "stack/core.hpp"

using namespace keepnet;

namespace {

StackConfig small() {
    StackConfig config;
    config.capacity = {.interfaces = 2,
                       .addresses = 4,
                       .routes = 4,
                       .neighbors = 8,
                       .pending_packets = 4,
                       .destinations = 4,
                       .sockets = 16,
                       .tcp_connections = 16,
                       .tcp_listeners = 4,
                       .tcp_tombstones = 4,
                       .udp_sockets = 4,
                       .udp_datagrams = 8,
                       .slice_nodes = 64,
                       .packet_buffers = 64,
                       .transmit_ring = 16,
                       .shadow_objects = 64,
                       .sweep_queue_bytes = 64 * 1024};
    return config;
}

std::vector<std::uint8_t> signed_copy(const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint8_t> bytes(data, data + size);
    if (size < checkpoint::prelude_bytes + checkpoint::ending_bytes || size % 8 != 0) return bytes;
    std::copy(checkpoint::prelude_magic.begin(), checkpoint::prelude_magic.end(), bytes.begin());
    std::copy(checkpoint::ending_magic.begin(), checkpoint::ending_magic.end(), bytes.end() - 16);
    checkpoint::Digest digest;
    digest.add(bytes.data(), size - 8);
    for (std::size_t i = 0; i < 8; ++i) {
        bytes[size - 8 + i] = static_cast<std::uint8_t>(digest.value() >> (8 * i));
    }
    return bytes;
}

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

/// Runs a restored stack for a while, without a network.
void run(Stack& stack) {
    Instant now = stack.core().now();
    for (int i = 0; i < 20; ++i) {
        const PollResult result = stack.poll(now);
        while (stack.next_ready()) {}
        if (result.next_deadline == never) break;
        now = later(now + milliseconds(1), result.next_deadline);
    }
    for (SocketHandle s = stack.next_socket({}); s;) {
        const SocketHandle next = stack.next_socket(s);
        (void)stack.close(s);
        s = next;
    }
    stack.poll(now);
}

}  // namespace

extern "C" [[noreturn]] void keepnet_assert_failed(const char* expression, const char* file, unsigned line) {
    std::fprintf(stderr, "%s:%u: %s\n", file, line, expression);
    std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const StackConfig config = small();
    static const std::size_t arena_bytes = Stack::arena_bytes(config);
    static std::byte* const arena = static_cast<std::byte*>(
        ::mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    const auto as_given = checkpoint::summarize({data, size});
    require(as_given.has_value() || !as_given.error().message.empty(), "an error without a message");
    const auto bytes = signed_copy(data, size);
    auto restored = checkpoint::restore({arena, arena_bytes}, config, bytes, {.now = Instant{} + seconds(1)});
    if (!restored) {
        require(!restored.error().message.empty(), "an error without a message");
        return 0;
    }
    require(!durability::find_fault(restored->stack.core().world, {1, 2}), "restored to a state that may not run");
    restored->stack.ready(false);
    run(restored->stack);
    return 0;
}
