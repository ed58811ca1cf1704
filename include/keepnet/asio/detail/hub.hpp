// What a context and its sockets share: the Stack, the clock, the timer, and which operation waits on which
// handle. It outlives the context for as long as a socket refers to it; then `stack()` is null and every call
// fails.
//
// An operation waits in a queue of its socket. When the socket is ready, the operation is posted to its
// handler's executor, and only there, in the function that goes on to call the handler, do bytes change sides
// (DURABILITY 3): an operation that is posted but has not run can be cancelled, or lost in a crash, and
// nothing has been taken.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>

#include <keepnet/stack.hpp>

namespace keepnet::asio::detail {

namespace net = boost::asio;
using boost::system::error_code;

class hub;

/// One asynchronous operation; its type-erased part.
class operation_base {
  public:
    operation_base() = default;
    operation_base(const operation_base&) = delete;
    operation_base& operator=(const operation_base&) = delete;
    virtual ~operation_base() = default;
    /// Has the operation run on its handler's executor, never from inside this call.
    virtual void post(std::shared_ptr<operation_base> self) = 0;

    std::uint64_t id = 0;
    std::uint8_t wants = 0;  ///< bits of Readiness, any of which is worth a try; errors always are
    bool tried = false;
    bool posted = false;
    error_code failure{};  ///< set: completes with it, and transfers nothing
};

/// Operations of different kinds do not wait for each other.
enum class lane : std::uint8_t { in, out, error };

/// What a socket object owns. Operations refer to it too, so it may outlive the socket object.
class socket_state {
  public:
    explicit socket_state(std::shared_ptr<hub> owner) : hub_(std::move(owner)) {}
    socket_state(const socket_state&) = delete;
    socket_state& operator=(const socket_state&) = delete;
    ~socket_state() { forget(); }

    [[nodiscard]] const std::shared_ptr<hub>& owner() const { return hub_; }
    [[nodiscard]] SocketHandle handle() const { return handle_; }
    [[nodiscard]] bool is_open() const;
    /// Null when the socket is closed or the context is gone.
    [[nodiscard]] Stack* stack() const;

    void take(SocketHandle handle);
    /// Every waiting operation completes with operation_aborted.
    void cancel();
    void cancel(std::uint64_t id);
    /// Gives the handle up, with its operations cancelled.
    SocketHandle release();

    void start(lane where, std::shared_ptr<operation_base> op);
    /// Completes without waiting for its turn.
    void start_at_once(std::shared_ptr<operation_base> op);
    void finished(const operation_base& op);
    /// Posts the operations that have become worth a try.
    void kick();

    using queue = std::vector<std::shared_ptr<operation_base>>;
    /// For the end of the context: the operations, to be destroyed without a call of their handlers.
    std::array<queue, 3> surrender() { return std::exchange(queues_, {}); }

  private:
    void forget();
    void kick(queue& waiting);
    static void post(const std::shared_ptr<operation_base>& op) {
        op->posted = true;
        op->post(op);
    }

    std::shared_ptr<hub> hub_;
    SocketHandle handle_{};
    std::array<queue, 3> queues_{};  // indexed by lane; one operation in each is the rule
};

class hub {
  public:
    using clock_function = std::function<Instant()>;

    hub(net::io_context& io, Stack& stack, clock_function clock, bool with_timer, bool is_work)
        : io_(io), stack_(&stack), clock_(std::move(clock)), is_work_(is_work) {
        if (with_timer) timer_.emplace(io);
    }
    hub(const hub&) = delete;
    hub& operator=(const hub&) = delete;
    ~hub() = default;

    [[nodiscard]] net::io_context& io() const { return io_; }
    [[nodiscard]] Stack* stack() const { return stack_; }

    /// A stack belongs to one thread at a time. Held around every use of it; a second thread that comes meanwhile is told,
    /// and ends the program: what it would do to the stack could not be undone.
    class entry {
      public:
        explicit entry(hub& where) : hub_(where) {
            const auto self = std::this_thread::get_id();
            std::thread::id nobody{};
            if (hub_.inside_.load(std::memory_order_relaxed) == self) return;
            if (!hub_.inside_.compare_exchange_strong(nobody, self, std::memory_order_acquire)) complain();
            outer_ = true;
        }
        entry(const entry&) = delete;
        entry& operator=(const entry&) = delete;
        ~entry() {
            if (outer_) hub_.inside_.store({}, std::memory_order_release);
        }

      private:
        [[noreturn]] static void complain() {
            std::fputs("keepnet::asio: two threads use one context at the same time; run its io_context on one thread\n", stderr);
            std::abort();
        }
        hub& hub_;
        bool outer_ = false;
    };

    /// Polls once, wakes operations, arms the timer anew. The embedder's callbacks may end the context:
    /// `self` is a copy.
    void poll(std::shared_ptr<hub> self) {
        const entry alone(*this);
        if (stack_ == nullptr || stopped_) return;
        poll_posted_ = false;
        const auto result = stack_->poll(clock_());
        wake_waiting(waiting_for_addresses);
        while (stack_ != nullptr) {
            const auto ready = stack_->next_ready();
            if (!ready) break;
            if (const auto found = sockets_.find(ready->raw); found != sockets_.end()) {
                found->second->kick();
            } else if (on_ready) {
                on_ready(*ready);
            }
        }
        if (stack_ != nullptr && result.commit_wanted != never && on_commit_wanted) {
            on_commit_wanted(result.commit_wanted);
        }
        if (stack_ != nullptr && !stopped_) arm(self, stack_->next_deadline());
    }

    /// Has poll() run soon: a call was made that may have given the stack something to send.
    void wake(const std::shared_ptr<hub>& self) {
        const entry alone(*this);
        if (stack_ == nullptr || stopped_ || std::exchange(poll_posted_, true)) return;
        net::post(io_, [self] { self->poll(self); });
    }

    void start(const std::shared_ptr<hub>& self) {
        stopped_ = false;
        poll_posted_ = false;
#if defined(BOOST_ASIO_HAS_POSIX_STREAM_DESCRIPTOR)
        for (auto& descriptor : descriptors_) wait_for(self, descriptor);
#endif
        wake(self);
    }

    void stop() {
        stopped_ = true;
        disarm();
#if defined(BOOST_ASIO_HAS_POSIX_STREAM_DESCRIPTOR)
        for (auto& descriptor : descriptors_) {
            error_code ignored;
            descriptor.cancel(ignored);
        }
#endif
    }

#if defined(BOOST_ASIO_HAS_POSIX_STREAM_DESCRIPTOR)
    void watch(const std::shared_ptr<hub>& self, int descriptor) {
        wake(self);
        descriptors_.emplace_back(io_, descriptor);
        if (!stopped_) wait_for(self, descriptors_.back());
    }
#endif

    /// The context ends: the connections stay in the stack as they are; waiting handlers are destroyed
    /// uncalled.
    void shut_down() {
        stop();
        stack_ = nullptr;
        timer_.reset();
#if defined(BOOST_ASIO_HAS_POSIX_STREAM_DESCRIPTOR)
        for (auto& descriptor : descriptors_) descriptor.release();  // it is the embedder's
        descriptors_.clear();
#endif
        // Destroying a handler may destroy sockets, which come back to this object.
        std::vector<std::array<socket_state::queue, 3>> orphans;
        for (const auto& [handle, state] : sockets_) orphans.push_back(state->surrender());
        sockets_.clear();
        orphans.clear();
    }

    void enter(SocketHandle handle, socket_state& state) { sockets_[handle.raw] = &state; }
    void leave(SocketHandle handle, const socket_state& state) {
        const auto found = sockets_.find(handle.raw);
        if (found != sockets_.end() && found->second == &state) sockets_.erase(found);
    }
    std::uint64_t next_id() { return ++last_id_; }

    /// Who waits for something of the stack itself. Each is called once, from poll().
    using waiting_list = std::vector<std::function<bool()>>;
    waiting_list waiting_for_addresses{};  ///< false: it waits on

    std::function<void(Instant)> on_commit_wanted{};
    std::function<void(SocketHandle)> on_ready{};
    /// Completions whose transfer is done and whose handler, on an executor of another context, has not
    /// returned.
    std::atomic<std::uint32_t> undelivered{0};

  private:
    // Where the stack is no work of its own, what it waits for (its deadline, its device) is not counted by the io_context:
    // run() returns when nothing else is left. The count that each wait brings along is given back at once, and taken
    // again when its handler begins, for the io_context takes it away behind that.
    template <typename Function>
    auto uncounted(Function function) {
        return [executor = io_.get_executor(), counted = is_work_,
                function = std::move(function)](error_code failure) mutable {
            if (!counted) executor.on_work_started();
            function(failure);
        };
    }
    void give_back_count() {
        if (!is_work_) io_.get_executor().on_work_finished();
    }

    static void wake_waiting(waiting_list& list) {
        if (list.empty()) return;
        auto all = std::exchange(list, {});
        for (auto& one : all) {
            if (!one()) list.push_back(std::move(one));
        }
    }

    void arm(const std::shared_ptr<hub>& self, Instant deadline) {
        if (!timer_) return;
        const auto now = clock_();
        if (deadline <= now) {
            wake(self);
        } else if (deadline == never) {
            disarm();
        } else if (deadline != armed_) {
            armed_ = deadline;
            timer_->expires_after(std::chrono::nanoseconds((deadline - now).ns));
            timer_->async_wait(uncounted([weak = std::weak_ptr(self), deadline](error_code failure) {
                const auto still = weak.lock();
                if (failure || !still) return;
                if (still->armed_ == deadline) still->armed_ = never;
                still->poll(still);
            }));
            give_back_count();
        }
    }

    void disarm() {
        if (timer_ && std::exchange(armed_, never) != never) timer_->cancel();
    }

#if defined(BOOST_ASIO_HAS_POSIX_STREAM_DESCRIPTOR)
    // One-shot: asked for again after each poll, so that a burst limit cannot lose frames.
    static void wait_for(const std::shared_ptr<hub>& self, net::posix::stream_descriptor& descriptor) {
        descriptor.async_wait(
            net::posix::stream_descriptor::wait_read,
            self->uncounted([weak = std::weak_ptr(self), &descriptor](error_code failure) {
                const auto still = weak.lock();
                if (failure || !still || still->stack_ == nullptr || still->stopped_) return;
                still->poll(still);
                if (still->stack_ != nullptr && !still->stopped_) wait_for(still, descriptor);
            }));
        self->give_back_count();
    }
    std::list<net::posix::stream_descriptor> descriptors_{};  // a list: a waiting one must not move
#endif

    net::io_context& io_;
    Stack* stack_;
    clock_function clock_;
    std::optional<net::steady_timer> timer_{};
    bool is_work_;
    std::atomic<std::thread::id> inside_{};
    Instant armed_ = never;
    bool poll_posted_ = false;
    bool stopped_ = false;
    std::uint64_t last_id_ = 0;
    std::map<std::uint64_t, socket_state*> sockets_{};
};

inline Stack* socket_state::stack() const { return handle_ && hub_ ? hub_->stack() : nullptr; }
inline bool socket_state::is_open() const { return stack() != nullptr; }

inline void socket_state::take(SocketHandle handle) {
    const hub::entry alone(*hub_);
    forget();
    handle_ = handle;
    if (handle_ && hub_) hub_->enter(handle_, *this);
}

inline void socket_state::forget() {
    if (handle_ && hub_) hub_->leave(handle_, *this);
    handle_ = {};
}

inline void socket_state::cancel() {
    const hub::entry alone(*hub_);
    for (auto& waiting : queues_) {
        for (const auto& op : waiting) {
            op->failure = net::error::operation_aborted;
            if (!op->posted) post(op);
        }
    }
}

inline void socket_state::cancel(std::uint64_t id) {
    const hub::entry alone(*hub_);
    for (auto& waiting : queues_) {
        const auto found =
            std::find_if(waiting.begin(), waiting.end(), [id](const auto& op) { return op->id == id; });
        if (found == waiting.end()) continue;
        (*found)->failure = net::error::operation_aborted;
        if (!(*found)->posted) post(*found);
        return;
    }
}

inline SocketHandle socket_state::release() {
    cancel();
    const auto handle = handle_;
    forget();
    return handle;
}

inline void socket_state::start(lane where, std::shared_ptr<operation_base> op) {
    const hub::entry alone(*hub_);
    auto& waiting = queues_[static_cast<std::size_t>(where)];
    waiting.push_back(std::move(op));
    if (waiting.size() == 1) kick(waiting);
}

inline void socket_state::start_at_once(std::shared_ptr<operation_base> op) { post(op); }

inline void socket_state::finished(const operation_base& op) {
    for (auto& waiting : queues_) {
        const auto found =
            std::find_if(waiting.begin(), waiting.end(), [&](const auto& o) { return o.get() == &op; });
        if (found == waiting.end()) continue;
        waiting.erase(found);
        kick(waiting);
        return;
    }
}

inline void socket_state::kick() {
    for (auto& waiting : queues_) kick(waiting);
}

inline void socket_state::kick(queue& waiting) {
    if (waiting.empty() || waiting.front()->posted) return;
    auto& op = waiting.front();
    // The first try asks the stack itself, which has a better answer than "not ready" for a socket never
    // connected.
    if (std::exchange(op->tried, true)) {
        const auto* stack = this->stack();
        if (stack == nullptr) return;
        const auto ready = stack->readiness(handle_);
        constexpr auto over = static_cast<std::uint8_t>(Readiness::error | Readiness::hung_up);
        if (ready && (ready->bits & (op->wants | over)) == 0) return;
    }
    post(op);
}

/// The context that sockets made from a bare executor belong to: the first one living on that io_context.
class default_hub final : public net::execution_context::service {
  public:
    using key_type = default_hub;
    static inline net::execution_context::id id{};
    explicit default_hub(net::execution_context& owner) : net::execution_context::service(owner) {}
    std::weak_ptr<hub> current{};

  private:
    void shutdown() override { current.reset(); }
};

}  // namespace keepnet::asio::detail
