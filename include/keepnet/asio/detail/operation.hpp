// One asynchronous operation with its handler: waits in a socket's queue, runs on the handler's executor,
// does there what `Perform` does, and calls the handler in the same breath. Work is kept on both executors
// until the handler has returned; the operation's memory is given back before it is called.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>

#include <keepnet/asio/detail/hub.hpp>
#include <keepnet/asio/error.hpp>

namespace keepnet::asio::detail {

template <typename Executor>
net::execution_context& context_of(const Executor& executor) {
    if constexpr (net::can_query<const Executor&, net::execution::context_t>::value) {
        return net::query(executor, net::execution::context);
    } else {
        return executor.context();
    }
}

/// Perform: std::optional<std::tuple<error_code, ...>> (socket_state&, error_code failure); nothing: it would
/// block. With `failure` set it transfers nothing and answers with it.
template <typename Handler, typename IoExecutor, typename Perform>
class operation final : public operation_base {
  public:
    using handler_executor = net::associated_executor_t<Handler, IoExecutor>;
    using handler_allocator = net::associated_allocator_t<Handler>;

    operation(Handler&& handler, const IoExecutor& io, std::shared_ptr<socket_state> state, Perform&& perform)
        : handler_(std::move(handler)),
          io_work_(io),
          handler_work_(net::get_associated_executor(handler_, io)),
          state_(std::move(state)),
          perform_(std::move(perform)),
          local_(&context_of(handler_work_.get_executor()) == &state_->owner()->io()) {}

    void post(std::shared_ptr<operation_base> self) override {
        auto shared = std::static_pointer_cast<operation>(std::move(self));
        const auto allocator = net::get_associated_allocator(handler_);
        if (local_) {
            net::post(handler_work_.get_executor(), runner{std::move(shared), allocator});
        } else {
            net::post(state_->owner()->io(), runner{std::move(shared), allocator});
        }
    }

    [[nodiscard]] const Handler& handler() const { return handler_; }

  private:
    struct runner {
        using allocator_type = handler_allocator;
        std::shared_ptr<operation> op;
        allocator_type allocator;
        [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator; }
        void operator()() { run(std::move(op)); }
    };

    static void run(std::shared_ptr<operation> self) {
        auto outcome = [&] {
            const hub::entry alone(*self->state_->owner());
            return self->perform_(*self->state_, self->failure);
        }();
        if (!outcome) {
            self->posted = false;
            return;
        }
        const auto state = std::move(self->state_);
        const auto io_work = std::move(self->io_work_);
        auto handler_work = std::move(self->handler_work_);
        auto handler = std::move(self->handler_);
        const bool local = self->local_;
        state->finished(*self);
        self.reset();
        if (local) {
            std::apply(std::move(handler), *std::move(outcome));
        } else {
            deliver(std::move(handler), *std::move(outcome), std::move(handler_work), state->owner());
        }
    }

    /// The transfer is done, and another context's thread calls the handler: until it has, there is no cut.
    template <typename Outcome, typename Work>
    static void deliver(Handler handler, Outcome outcome, Work work, std::shared_ptr<hub> owner) {
        struct receipt {
            std::shared_ptr<hub> owner;
            explicit receipt(std::shared_ptr<hub> o) : owner(std::move(o)) { ++owner->undelivered; }
            receipt(receipt&&) noexcept = default;
            receipt& operator=(receipt&&) = delete;
            ~receipt() {
                if (owner) --owner->undelivered;
            }
        };
        const auto executor = work.get_executor();
        net::post(executor, [handler = std::move(handler), outcome = std::move(outcome),
                             work = std::move(work), signed_for = receipt(std::move(owner))]() mutable {
            const auto until_returned = std::move(signed_for);
            std::apply(std::move(handler), std::move(outcome));
        });
    }

    Handler handler_;
    net::executor_work_guard<IoExecutor> io_work_;
    net::executor_work_guard<handler_executor> handler_work_;
    std::shared_ptr<socket_state> state_;
    Perform perform_;
    bool local_;
};

/// How an operation waits.
struct waiting {
    lane where = lane::in;
    std::uint8_t wants = 0;
    bool at_once = false;  ///< needs nothing from the stack
    error_code failure{};  ///< already known
};

/// Begins an operation on behalf of an initiating function. The handler never runs inside this call.
template <typename Handler, typename IoExecutor, typename Perform>
void begin(Handler&& handler, const IoExecutor& io, const std::shared_ptr<socket_state>& state,
           const waiting& how, Perform perform) {
    using decayed = std::decay_t<Handler>;
    using op_type = operation<decayed, IoExecutor, Perform>;
    decayed own(std::forward<Handler>(handler));
    const auto allocator = net::get_associated_allocator(own);
    const auto op = std::allocate_shared<op_type>(allocator, std::move(own), io, state, std::move(perform));
    op->id = state->owner()->next_id();
    op->wants = how.wants;
    op->failure = how.failure;
    if (how.at_once || how.failure) {
        state->start_at_once(op);
        return;
    }
    auto slot = net::get_associated_cancellation_slot(op->handler());
    if (slot.is_connected()) {
        slot.assign([weak = std::weak_ptr(state), id = op->id](net::cancellation_type_t type) {
            const auto still = weak.lock();
            if (still && (type & net::cancellation_type::all) != net::cancellation_type::none)
                still->cancel(id);
        });
    }
    state->start(how.where, op);
}

/// A Perform from a function std::expected<Value, Error> (Stack&, SocketHandle), for handlers (error_code,
/// Value).
template <typename Value, typename Function>
auto performing(Function function) {
    return
        [function = std::move(function)](
            socket_state& state, error_code failure) mutable -> std::optional<std::tuple<error_code, Value>> {
            if (failure) return std::tuple(failure, Value{});
            auto* const stack = state.stack();
            if (stack == nullptr) return std::tuple(error_code(net::error::bad_descriptor), Value{});
            auto result = function(*stack, state.handle());
            state.owner()->wake(state.owner());
            if (result) return std::tuple(error_code{}, *std::move(result));
            if (result.error() == Error::would_block) return std::nullopt;
            return std::tuple(to_error_code(result.error()), Value{});
        };
}

/// The same for handlers (error_code).
template <typename Function>
auto performing_void(Function function) {
    return [function = std::move(function)](
               socket_state& state, error_code failure) mutable -> std::optional<std::tuple<error_code>> {
        if (failure) return std::tuple(failure);
        auto* const stack = state.stack();
        if (stack == nullptr) return std::tuple(error_code(net::error::bad_descriptor));
        const auto result = function(*stack, state.handle());
        state.owner()->wake(state.owner());
        if (result) return std::tuple(error_code{});
        if (result.error() == Error::would_block) return std::nullopt;
        return std::tuple(to_error_code(result.error()));
    };
}

}  // namespace keepnet::asio::detail
