// keepnet::asio::context drives a Stack on a boost::asio::io_context. It has no thread of its own: it polls
// the stack when a device's descriptor is readable, when the stack's next deadline passes, and after calls
// that made output.
//
//     boost::asio::io_context io;
//     keepnet::asio::context context(io, stack);
//     context.watch(tap.descriptor());
//     tcp::socket socket(context);          // or socket(io.get_executor()): the first context on `io` is its
//     default io.run();                             // goes on until context.stop(), or io.stop()
//
// One thread runs the io_context. Handlers may sit on strands of it. A handler bound to an executor of
// another context (a thread pool) is called there; from its transfer until it returns, cut() is refused.
// Destroy the context before the io_context and before the stack. Connections outlive it, in the stack:
// sockets that are destroyed later close nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>

#include <keepnet/asio/detail/hub.hpp>
#include <keepnet/stack.hpp>

namespace keepnet::asio {

struct context_options {
    /// The embedder's monotonic clock; empty: std::chrono::steady_clock.
    std::function<Instant()> clock{};
    /// False: no timer is armed, and the embedder calls poll() at next_deadline() itself (a virtual clock
    /// does).
    bool timer = true;
};

class context {
  public:
    using executor_type = boost::asio::io_context::executor_type;

    context(boost::asio::io_context& io, Stack& stack, context_options options = {})
        : hub_(std::make_shared<detail::hub>(
              io, stack, options.clock ? std::move(options.clock) : &steady_now, options.timer)) {
        auto& fallback = boost::asio::use_service<detail::default_hub>(io);
        if (fallback.current.expired()) fallback.current = hub_;
        hub_->start(hub_);
    }
    context(const context&) = delete;
    context& operator=(const context&) = delete;
    ~context() {
        auto& fallback = boost::asio::use_service<detail::default_hub>(hub_->io());
        if (fallback.current.lock() == hub_) fallback.current.reset();
        hub_->shut_down();
    }

    /// What the clock is when the options name none; the stack is created with the same one.
    static Instant steady_now() {
        const auto since = std::chrono::steady_clock::now().time_since_epoch();
        return {std::chrono::duration_cast<std::chrono::nanoseconds>(since).count()};
    }

    [[nodiscard]] executor_type get_executor() const { return hub_->io().get_executor(); }
    [[nodiscard]] Stack& stack() const { return *hub_->stack(); }

#if defined(BOOST_ASIO_HAS_POSIX_STREAM_DESCRIPTOR)
    /// Polls whenever `descriptor`, a device's, is readable. It stays the embedder's, and is open until the
    /// context ends.
    void watch(int descriptor) { hub_->watch(hub_, descriptor); }
#endif
    /// Polls soon: a device without a descriptor has frames, or the stack was called past this binding.
    void wake() { hub_->wake(hub_); }
    /// Polls now. Not from inside a handler of on_ready or on_commit_wanted.
    void poll() { hub_->poll(hub_); }
    /// When poll() must come next.
    [[nodiscard]] Instant next_deadline() const { return stack().next_deadline(); }

    /// Called after every poll that leaves output waiting for a commit, with the instant since which it
    /// waits. The embedder cuts, writes its snapshot, and calls committed(). No transfer is half-way when
    /// this is called.
    void on_commit_wanted(std::function<void(Instant)> handler) {
        hub_->on_commit_wanted = std::move(handler);
    }
    /// Called for a socket that became ready and that no object of this binding owns.
    void on_ready(std::function<void(SocketHandle)> handler) { hub_->on_ready = std::move(handler); }

    /// Is a completion on its way to a handler on another context's thread? Then this is no instant for a
    /// cut: bytes have left the stack that the program has not got (DURABILITY 3). Never so where all
    /// handlers run on the io_context.
    [[nodiscard]] bool has_undelivered() const { return hub_->undelivered.load() != 0; }
    /// Stack::cut(); fails also with Error::invalid_state while has_undelivered().
    std::expected<CutId, Error> cut(CutId since = 0) {
        if (has_undelivered()) return std::unexpected(Error::invalid_state);
        return stack().cut(since);
    }
    std::expected<void, Error> committed(CutId cut) {
        wake();
        return stack().committed(cut);
    }
    std::expected<void, Error> abandoned(CutId cut) {
        wake();
        return stack().abandoned(cut);
    }

    /// Stops polling, so that io_context::run() can return; connections rest as they are.
    void stop() { hub_->stop(); }
    void start() { hub_->start(hub_); }

    /// For this binding's own classes.
    [[nodiscard]] const std::shared_ptr<detail::hub>& hub() const { return hub_; }

  private:
    std::shared_ptr<detail::hub> hub_;
};

}  // namespace keepnet::asio
