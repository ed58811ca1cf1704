#include "bench/bad_path.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <keepnet/stack.hpp>

#include "bench/linux_host.hpp"
#include "bench/pair.hpp"

namespace keepnet::bench {
namespace {

constexpr std::uint16_t port = 7;
constexpr std::size_t chunk_bytes = 64U * 1024;
constexpr auto near_address = Ipv6Address::from_words({0xfd00, 0x6b6e, 0, 0, 0, 0, 0, 1});
constexpr auto far_address = Ipv6Address::from_words({0xfd00, 0x6b6e, 0, 0, 0, 0, 0, 2});

Instant clock_now() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return {std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
}

/// What the stream holds from a place on; its period is no multiple of anything that a segment's size could
/// be.
class Pattern {
  public:
    Pattern() : bytes_(period + chunk_bytes) {
        std::uint32_t x = 1;
        for (std::size_t i = 0; i < period; ++i) {
            x = x * 1664525 + 1013904223;
            bytes_[i] = static_cast<std::uint8_t>(x >> 24);
        }
        for (std::size_t i = period; i < bytes_.size(); ++i) bytes_[i] = bytes_[i - period];
    }
    /// `n`: chunk_bytes at most.
    [[nodiscard]] ByteView at(std::size_t place, std::size_t n) const {
        return ByteView(bytes_).subspan(place % period, n);
    }

  private:
    static constexpr std::size_t period = 65521;
    std::vector<std::uint8_t> bytes_;
};

/// One end of the connection, whoever runs it.
class End {
  public:
    virtual ~End() = default;
    /// How much it took; 0: none now.
    virtual std::size_t send(ByteView data) = 0;
    virtual void finish() = 0;
    /// 0: nothing now. Nothing: the end, or an error.
    virtual std::optional<std::size_t> receive(MutableBytes room) = 0;
    [[nodiscard]] virtual std::uint64_t retransmitted() const = 0;
    /// For poll(2); -1: none.
    [[nodiscard]] virtual int fd() const = 0;

  protected:
    End() = default;
    End(const End&) = default;
    End& operator=(const End&) = default;
};

class LinuxEnd final : public End {
  public:
    explicit LinuxEnd(int fd) : fd_(fd) {}
    std::size_t send(ByteView data) override {
        const ssize_t n = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
        return n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    void finish() override { ::shutdown(fd_, SHUT_WR); }
    std::optional<std::size_t> receive(MutableBytes room) override {
        const ssize_t n = ::read(fd_, room.data(), room.size());
        if (n > 0) return static_cast<std::size_t>(n);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) return 0;
        return std::nullopt;
    }
    [[nodiscard]] std::uint64_t retransmitted() const override { return LinuxHost::retransmitted(fd_); }
    [[nodiscard]] int fd() const override { return fd_; }

  private:
    int fd_;
};

class KeepnetEnd final : public End {
  public:
    KeepnetEnd(Stack& stack, SocketHandle socket) : stack_(stack), socket_(socket) {}
    std::size_t send(ByteView data) override { return stack_.send(socket_, data).value_or(0); }
    void finish() override { (void)stack_.shutdown(socket_, CloseDirection::send); }
    std::optional<std::size_t> receive(MutableBytes room) override {
        const auto n = stack_.receive(socket_, room);
        if (n) return *n;
        if (n.error() == Error::would_block || n.error() == Error::not_connected) return 0;
        return std::nullopt;
    }
    [[nodiscard]] std::uint64_t retransmitted() const override {
        return stack_.statistics().tcp_segments_retransmitted;
    }
    [[nodiscard]] int fd() const override { return -1; }

  private:
    Stack& stack_;
    SocketHandle socket_;
};

/// Whoever is at the other end of the bad path from the near Linux.
class FarSide {
  public:
    virtual ~FarSide() = default;
    virtual void turn(Instant now) = 0;
    /// When the next turn is due, whatever arrives.
    [[nodiscard]] virtual Instant next_turn() const = 0;
    [[nodiscard]] virtual int fd() const { return -1; }
    virtual std::expected<std::unique_ptr<End>, std::string> connect() = 0;
    virtual std::expected<void, std::string> listen() = 0;
    virtual std::unique_ptr<End> accept() = 0;

  protected:
    FarSide() = default;
    FarSide(const FarSide&) = default;
    FarSide& operator=(const FarSide&) = default;
};

std::unexpected<std::string> failure(Error error) { return std::unexpected(std::string(name(error))); }

class KeepnetSide final : public FarSide {
  public:
    static std::expected<std::unique_ptr<KeepnetSide>, std::string> create(drivers::FaultFilter& path) {
        std::unique_ptr<KeepnetSide> side(new KeepnetSide);
        StackConfig config;
        config.nd.dad_transmits = 0;  // the addresses of the other Linux are valid at once, too
        side->memory_ = std::make_unique<ArenaMemory>(Stack::arena_bytes(config));
        CreateOptions options{.now = clock_now(), .arena_is_zeroed = true};
        if (::getrandom(options.entropy.data(), options.entropy.size(), 0) != 32)
            return std::unexpected("getrandom");
        auto stack = Stack::create(side->memory_->bytes(), config, options);
        if (!stack) return failure(stack.error());
        side->stack_.emplace(std::move(*stack));
        const auto nic = side->stack_->attach_device(path, {});
        if (!nic) return failure(nic.error());
        if (const auto added = side->stack_->add_address(*nic, far_address, 64); !added)
            return failure(added.error());
        return side;
    }
    void turn(Instant now) override {
        (void)stack_->poll(now);
        while (stack_->next_ready()) {
        }
    }
    [[nodiscard]] Instant next_turn() const override { return stack_->next_deadline(); }
    std::expected<std::unique_ptr<End>, std::string> connect() override {
        const auto socket = stack_->open_tcp();
        if (!socket) return failure(socket.error());
        if (const auto done = stack_->connect(*socket, {near_address, port}); !done)
            return failure(done.error());
        return std::make_unique<KeepnetEnd>(*stack_, *socket);
    }
    std::expected<void, std::string> listen() override {
        auto socket = stack_->open_tcp();
        if (socket) socket = stack_->bind(*socket, {.port = port});
        if (socket) socket = stack_->listen(*socket, 1);
        if (!socket) return failure(socket.error());
        listener_ = *socket;
        return {};
    }
    std::unique_ptr<End> accept() override {
        const auto socket = stack_->accept(listener_);
        return socket ? std::make_unique<KeepnetEnd>(*stack_, *socket) : nullptr;
    }

  private:
    KeepnetSide() = default;

    std::unique_ptr<ArenaMemory> memory_;
    std::optional<Stack> stack_;
    SocketHandle listener_{};
};

/// Another Linux, and the bridge to it.
class LinuxSide final : public FarSide {
  public:
    static std::expected<std::unique_ptr<LinuxSide>, std::string> create(drivers::FaultFilter& path) {
        auto host = LinuxHost::create(far_address);
        if (!host) return std::unexpected(host.error());
        return std::unique_ptr<LinuxSide>(new LinuxSide(path, std::move(*host)));
    }
    void turn(Instant) override {
        pass(path_, host_->tap());
        pass(host_->tap(), path_);
    }
    [[nodiscard]] Instant next_turn() const override { return never; }
    [[nodiscard]] int fd() const override { return host_->tap().fd(); }
    std::expected<std::unique_ptr<End>, std::string> connect() override {
        const auto fd = host_->connect(near_address, port);
        if (!fd) return std::unexpected(fd.error());
        return std::make_unique<LinuxEnd>(*fd);
    }
    std::expected<void, std::string> listen() override {
        const auto fd = host_->listen(port);
        if (!fd) return std::unexpected(fd.error());
        listener_ = *fd;
        return {};
    }
    std::unique_ptr<End> accept() override {
        const int fd = host_->accept(listener_);
        return fd >= 0 ? std::make_unique<LinuxEnd>(fd) : nullptr;
    }

  private:
    /// A buffer for each frame of a burst.
    class Buffers final : public FramePool {
      public:
        BufferIndex allocate() override { return next_ < bytes_.size() ? next_++ : no_buffer; }
        MutableBytes bytes(BufferIndex i) override { return bytes_[i]; }
        void release(BufferIndex i) override { next_ = i; }
        void clear() { next_ = 0; }

      private:
        std::array<std::array<std::uint8_t, packet_buffer_bytes>, 64> bytes_{};
        BufferIndex next_ = 0;
    };

    LinuxSide(drivers::FaultFilter& path, std::unique_ptr<LinuxHost> host)
        : path_(path), host_(std::move(host)) {}

    void pass(LinkDevice& from, LinkDevice& to) {
        std::array<RxFrame, 64> frames;
        for (;;) {
            buffers_.clear();
            const std::size_t n = from.receive(buffers_, frames);
            for (const RxFrame& frame : std::span(frames).first(n)) {
                const TxFrame out{.header = buffers_.bytes(frame.buffer).subspan(frame.offset, frame.length)};
                (void)to.transmit({&out, 1});
            }
            if (n < frames.size()) return;
        }
    }

    drivers::FaultFilter& path_;
    std::unique_ptr<LinuxHost> host_;
    Buffers buffers_{};
    int listener_ = -1;
};

std::expected<std::unique_ptr<FarSide>, std::string> far_side(Sender sender, drivers::FaultFilter& path) {
    if (sender == Sender::linux_to_linux) return LinuxSide::create(path);
    return KeepnetSide::create(path);
}

class Run {
  public:
    Run(const BadPathRun& run, LinuxHost& near, drivers::FaultFilter& path, FarSide& far)
        : run_(run), near_(near), path_(path), far_(far) {}

    std::expected<BadPathResult, std::string> operator()() {
        const bool from_near = run_.sender == Sender::linux_to_keepnet;
        if (const auto done = open(from_near); !done) return std::unexpected(done.error());
        const Instant start = clock_now();
        const Instant end = start + run_.time_max;
        while (clock_now() < end && !done_) {
            far_.turn(clock_now());
            if (!receiver_) accept(from_near);
            push();
            pull();
            wait(end);
        }
        result_.time = clock_now() - start;
        result_.retransmitted = sender_->retransmitted();
        result_.data = from_near ? path_.received() : path_.sent();
        result_.acks = from_near ? path_.sent() : path_.received();
        return result_;
    }

  private:
    std::expected<void, std::string> open(bool from_near) {
        if (from_near) {
            if (const auto listening = far_.listen(); !listening) return listening;
            const auto fd = near_.connect(far_address, port);
            if (!fd) return std::unexpected(fd.error());
            sender_ = std::make_unique<LinuxEnd>(*fd);
            return {};
        }
        const auto fd = near_.listen(port);
        if (!fd) return std::unexpected(fd.error());
        near_listener_ = *fd;
        auto sender = far_.connect();
        if (!sender) return std::unexpected(sender.error());
        sender_ = std::move(*sender);
        return {};
    }
    void accept(bool from_near) {
        if (from_near) {
            receiver_ = far_.accept();
        } else if (const int fd = near_.accept(near_listener_); fd >= 0) {
            receiver_ = std::make_unique<LinuxEnd>(fd);
        }
    }
    void push() {
        while (!finished_) {
            const std::size_t left =
                run_.bytes_max == 0 ? chunk_bytes : std::min(chunk_bytes, run_.bytes_max - sent_);
            if (left == 0) {
                sender_->finish();
                finished_ = true;
                return;
            }
            const std::size_t n = sender_->send(pattern_.at(sent_, left));
            if (n == 0) return;
            sent_ += n;
        }
    }
    void pull() {
        while (receiver_) {
            const auto n = receiver_->receive(room_);
            if (!n) {
                done_ = result_.ended = true;
                return;
            }
            if (*n == 0) return;
            result_.intact = result_.intact &&
                             std::ranges::equal(pattern_.at(result_.bytes, *n), std::span(room_).first(*n));
            result_.bytes += *n;
        }
    }
    void wait(Instant end) {
        const Instant due = earlier(earlier(far_.next_turn(), path_.next_arrival()), end);
        const Duration left = due - clock_now();
        if (left.ns <= 0) return;
        const timespec timeout{.tv_sec = left.ns / 1'000'000'000, .tv_nsec = left.ns % 1'000'000'000};
        const bool to_send = !finished_ && sender_->fd() >= 0;
        std::array<pollfd, 5> fds{{{near_.tap().fd(), POLLIN, 0},
                                   {far_.fd(), POLLIN, 0},
                                   {to_send ? sender_->fd() : -1, POLLOUT, 0},
                                   {receiver_ ? receiver_->fd() : -1, POLLIN, 0},
                                   {receiver_ ? -1 : near_listener_, POLLIN, 0}}};
        (void)::ppoll(fds.data(), fds.size(), &timeout, nullptr);
    }

    const BadPathRun& run_;
    LinuxHost& near_;
    drivers::FaultFilter& path_;
    FarSide& far_;
    Pattern pattern_{};
    std::unique_ptr<End> sender_{};
    std::unique_ptr<End> receiver_{};
    int near_listener_ = -1;
    std::size_t sent_ = 0;
    bool finished_ = false;
    bool done_ = false;
    std::array<std::uint8_t, chunk_bytes> room_{};
    BadPathResult result_{};
};

}  // namespace

std::expected<BadPathResult, std::string> run_over_bad_path(const BadPathRun& run) {
    auto near = LinuxHost::create(near_address);
    if (!near) return std::unexpected(near.error());
    drivers::FaultConfig faults = run.faults;
    faults.clock = clock_now;
    drivers::FaultFilter path((*near)->tap(), std::move(faults));
    auto far = far_side(run.sender, path);
    if (!far) return std::unexpected(far.error());
    return std::make_unique<Run>(run, **near, path, **far)->operator()();
}

}  // namespace keepnet::bench
