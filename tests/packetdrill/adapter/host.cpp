#include "packetdrill/adapter/host.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "stack/core.hpp"

namespace keepnet::packetdrill {

namespace {

/// Any instant will do; one that looks like a time of day is easier to read in the tool's messages.
constexpr Instant start{1'700'000'000'000'000'000};
/// Nobody waits longer for a packet than this: the longest timer of TCP, a keep-alive's two hours, is shorter.
constexpr Duration patience = seconds(3 * 3600);

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "keepnet-packetdrill: %s\n", what);
    std::abort();
}

template <class T>
T must(std::expected<T, Error> result, const char* what) {
    if (!result) fail(what);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace

Host::Host(const Flags& flags, const Sysctls& sysctls)
    : flags_(flags), sysctls_(sysctls), time_(start), runtime_(time_), wire_(flags.mtu, [this] { return time_.now(); }) {
    time_.use(runtime_);
}

Host::~Host() {
    if (!arena_.empty()) munmap(arena_.data(), arena_.size());
}

void Host::make_stack() {
    const StackConfig config = make_config(flags_, sysctls_);
    const std::size_t bytes = Stack::arena_bytes(config);
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("no memory for the stack");
    arena_ = {static_cast<std::byte*>(memory), bytes};
    stack_ = must(Stack::create(arena_, config, {.now = time_.now(), .arena_is_zeroed = true}), "the settings make no stack");
    const InterfaceIndex nic = must(stack_->attach_device(wire_, {.link_local = false}), "the wire was refused");
    must(stack_->add_address(nic, flags_.local, 128), "the address was refused");
    must(stack_->add_route({}, 0, nic, {}), "the route was refused");
    runtime_.add(*stack_);
}

/// A socket is made with the settings of its moment, those that were made before keep theirs: what is taken from the config
/// later than at a socket's birth, or its connection's, is the same for all.
void Host::follow_settings() {
    const posix::Lock lock = runtime_.lock();
    stack_->core().world.header->config.tcp = make_config(flags_, sysctls_).tcp;
}

int Host::socket(int domain, int type, int protocol) {
    if (stack_) {
        follow_settings();
    } else {
        make_stack();
    }
    return call([&] { return kn_socket(domain, type, protocol); });
}

void Host::settle() {
    posix::Lock lock = runtime_.lock();
    time_.settle(lock);
}

bool Host::send(ByteView packet) {
    posix::Lock lock = runtime_.lock();
    if (!stack_) return true;  // nobody is there yet
    const bool ok = wire_.inject(packet);
    time_.settle(lock);
    return ok;
}

bool Host::receive(MutableBytes room, std::size_t& bytes, Instant& at) {
    posix::Lock lock = runtime_.lock();
    const Instant latest = time_.now() + patience;
    time_.settle(lock);
    while (wire_.front() == nullptr) {
        const Instant next = time_.next_event();
        if (next > latest) return false;
        time_.advance(lock, next);
    }
    const Wire::Sent& sent = *wire_.front();
    if (const auto checked = check_packet(sent.packet); !checked) {
        std::fprintf(stderr, "keepnet-packetdrill: the stack sent a bad packet: %s\n", checked.error().c_str());
        return false;
    }
    bytes = std::min(room.size(), sent.packet.size());
    std::memcpy(room.data(), sent.packet.data(), bytes);
    at = sent.at;
    wire_.pop();
    return true;
}

void Host::sleep(Duration duration) {
    posix::Lock lock = runtime_.lock();
    time_.advance(lock, time_.now() + duration);
}

Instant Host::look_at_clock() {
    if (const Instant end = VirtualTime::take_end_of_call(); end != never) return end;
    posix::Lock lock = runtime_.lock();
    time_.advance(lock, time_.now() + microseconds(1));
    return time_.now();
}

Host::Unblocked::Unblocked(int fd) : fd_(fd) {
    if (fd_ < 0) return;
    flags_ = kn_fcntl(fd_, F_GETFL);
    if (flags_ < 0 || (flags_ & O_NONBLOCK) != 0 || kn_fcntl(fd_, F_SETFL, flags_ | O_NONBLOCK) != 0) fd_ = -1;
}

Host::Unblocked::~Unblocked() {
    if (fd_ < 0) return;
    const int error = errno;
    kn_fcntl(fd_, F_SETFL, flags_);
    errno = error;
}

}  // namespace keepnet::packetdrill
