// keepnet::asio::context drives a Stack on a boost::asio::io_context. It has no thread of its own: it polls
// the stack when a device's descriptor is readable, when the stack's next deadline passes, and after calls
// that made output.
//
//     boost::asio::io_context io;
//     keepnet::asio::context context(io, stack);
//     context.watch(tap.fd());
//     tcp::socket socket(context);          // or socket(io.get_executor()): the first context on `io` is its default
//     io.run();                             // goes on until context.stop(), or io.stop()
//
// One thread runs the io_context. Handlers may sit on strands of it. A handler bound to an executor of
// another context (a thread pool) is called there; from its transfer until it returns, cut() is refused.
// A client's io.run() is to end when the client has: context_options::is_work false, and then drain(), as there is no kernel
// that would send the last words when the process has ended:
//
//     keepnet::asio::context context(io, stack, {.is_work = false});
//     context.watch(tap.fd());
//     context.async_wait_address(address, [&](boost::system::error_code failed) { if (!failed) begin(); });
//     io.run();                             // until nothing waits but the stack
//     context.drain(keepnet::seconds(5));   // what was sent and closed has arrived
//
// Two threads that use one context at the same time end the program, with a word.
//
// Destroy the context before the io_context and before the stack. Connections outlive it, in the stack:
// sockets that are destroyed later close nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <keepnet/asio/detail/hub.hpp>
#include <keepnet/connections.hpp>
#include <keepnet/stack.hpp>

namespace keepnet::asio {

struct context_options {
    /// The embedder's monotonic clock; empty: std::chrono::steady_clock.
    std::function<Instant()> clock{};
    /// False: no timer is armed, and the embedder calls poll() at next_deadline() itself (a virtual clock
    /// does).
    bool timer = true;
    /// False: io_context::run() returns when nothing is left but the stack, as if its sockets were the kernel's.
    bool is_work = true;
};

class context {
  public:
    using executor_type = boost::asio::io_context::executor_type;

    context(boost::asio::io_context& io, Stack& stack, context_options options = {})
        : hub_(std::make_shared<detail::hub>(
              io, stack, options.clock ? std::move(options.clock) : &steady_now, options.timer, options.is_work)) {
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

    /// Completes when the address can be used: duplicate address detection takes a second after add_address(), and nothing
    /// connects before. Handler void(error_code): address_in_use when another host on the link has it, bad_address when it is
    /// not ours (any more).
    template <typename Token>
    auto async_wait_address(const Ipv6Address& address, Token&& token) {
        return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
            [this](auto handler, const Ipv6Address& wanted) { this->wait_address(wanted, std::move(handler)); }, token,
            address);
    }

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

    /// For the end of a program: runs the io_context until what was accepted for sending, the FINs of closed sockets with it,
    /// is acknowledged. False: `at_most` has passed, and something is not. In real time alone.
    bool drain(Duration at_most) {
        const auto end = steady_now() + at_most;
        const auto work = boost::asio::make_work_guard(get_executor());
        hub_->io().restart();
        while (unacknowledged_connections(stack()) != 0) {
            if (steady_now() >= end) return false;
            wake();
            hub_->io().run_one_for(std::chrono::milliseconds(10));
        }
        return true;
    }

    /// Stops polling, so that io_context::run() can return; connections rest as they are.
    void stop() { hub_->stop(); }
    void start() { hub_->start(hub_); }

    /// For this binding's own classes.
    [[nodiscard]] const std::shared_ptr<detail::hub>& hub() const { return hub_; }

  private:
    /// Nothing: it is tentative yet.
    std::optional<boost::system::error_code> outcome_of(const Ipv6Address& address) const {
        const auto status = stack().address_status(address);
        if (!status) return make_error_code(boost::system::errc::bad_address);
        if (*status == AddressStatus::duplicate) return boost::asio::error::address_in_use;
        if (*status == AddressStatus::tentative) return std::nullopt;
        return boost::system::error_code{};
    }

    template <typename Handler>
    void wait_address(const Ipv6Address& address, Handler handler) {
        // Shared, because std::function wants to be copied. The guard lets run() go on meanwhile.
        struct waiting {
            Handler handler;
            boost::asio::executor_work_guard<executor_type> work;
        };
        auto state = std::make_shared<waiting>(waiting{std::move(handler), boost::asio::make_work_guard(get_executor())});
        const auto look = [this, address, state]() -> bool {
            const auto outcome = outcome_of(address);
            if (!outcome) return false;
            const auto where = boost::asio::get_associated_executor(state->handler, get_executor());
            boost::asio::post(where, [state, outcome] {
                state->work.reset();
                std::move(state->handler)(*outcome);
            });
            return true;
        };
        if (!look()) hub_->waiting_for_addresses.push_back(look);
    }

    std::shared_ptr<detail::hub> hub_;
};

}  // namespace keepnet::asio
