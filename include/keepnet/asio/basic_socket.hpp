// What TCP sockets, acceptors and UDP sockets have in common: opening, binding, options, cancelling, closing.
// The names and meanings are those of boost::asio::basic_socket; synchronous calls never block, as there with
// non_blocking(true).
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/system/system_error.hpp>
#include <boost/throw_exception.hpp>

#include <keepnet/asio/context.hpp>
#include <keepnet/asio/detail/convert.hpp>
#include <keepnet/asio/detail/operation.hpp>
#include <keepnet/asio/error.hpp>

namespace keepnet::asio {

/// Which stack a socket is made in, and the executor of its handlers. Made from a context; from a context and
/// an executor (a strand, say); or, as with Asio's own sockets, from an executor or an io_context alone,
/// which means the first context living on that io_context.
template <typename Executor>
class home {
  public:
    // Implicit: this is how a socket's constructor reads its first argument.
    home(context& where) : hub_(where.hub()), executor_(where.get_executor()) {}
    home(context& where, const Executor& executor) : hub_(where.hub()), executor_(executor) {}
    template <std::convertible_to<Executor> Other>
    home(const Other& executor) : executor_(executor) {
        find(detail::context_of(executor_));
    }
    home(boost::asio::io_context& io) : executor_(io.get_executor()) { find(io); }
    home(std::shared_ptr<detail::hub> hub, const Executor& executor)
        : hub_(std::move(hub)), executor_(executor) {}

    [[nodiscard]] const std::shared_ptr<detail::hub>& hub() const { return hub_; }
    [[nodiscard]] const Executor& executor() const { return executor_; }

  private:
    void find(boost::asio::execution_context& of) {
        hub_ = boost::asio::use_service<detail::default_hub>(of).current.lock();
        if (!hub_) {
            boost::throw_exception(
                boost::system::system_error(boost::asio::error::service_not_found,
                                            "no keepnet::asio::context on this execution context"));
        }
    }

    std::shared_ptr<detail::hub> hub_{};
    Executor executor_;
};

template <typename Protocol, typename Executor>
class basic_socket : public boost::asio::socket_base {
  public:
    using executor_type = Executor;
    using protocol_type = Protocol;
    using endpoint_type = typename Protocol::endpoint;
    /// The persistent descriptor.
    using native_handle_type = SocketHandle;
    using error_code = boost::system::error_code;

    basic_socket(const basic_socket&) = delete;
    basic_socket& operator=(const basic_socket&) = delete;

    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }
    [[nodiscard]] native_handle_type native_handle() const { return state_->handle(); }
    [[nodiscard]] bool is_open() const { return state_->is_open(); }
    /// Do both belong to the same stack?
    template <typename OtherProtocol, typename Other>
    [[nodiscard]] bool is_beside(const basic_socket<OtherProtocol, Other>& other) const {
        return state_->owner() == other.state_->owner();
    }

    void open(const protocol_type& protocol = protocol_type::v6()) {
        error_code failure;
        open(protocol, failure);
        check(failure, "open");
    }
    void open(const protocol_type& protocol, error_code& failure) {
        if (is_open()) {
            failure = boost::asio::error::already_open;
        } else if (protocol != protocol_type::v6()) {
            failure = boost::asio::error::address_family_not_supported;
        } else if (auto* const stack = state_->owner()->stack(); stack == nullptr) {
            failure = boost::asio::error::bad_descriptor;
        } else {
            const auto opened = is_tcp ? stack->open_tcp() : stack->open_udp();
            if (opened) state_->take(*opened);
            failure = opened ? error_code{} : to_error_code(opened.error());
        }
    }

    /// Takes over a socket that exists: a restored one, which is thereby claimed.
    void assign(native_handle_type handle) {
        error_code failure;
        assign(handle, failure);
        check(failure, "assign");
    }
    void assign(native_handle_type handle, error_code& failure) {
        if (is_open()) {
            failure = boost::asio::error::already_open;
            return;
        }
        auto* const stack = state_->owner()->stack();
        const auto known = stack != nullptr ? stack->info(handle) : std::unexpected(Error::stale_handle);
        if (!known) {
            failure = to_error_code(known.error());
        } else if (known->kind != (is_tcp ? SocketKind::tcp : SocketKind::udp)) {
            failure = to_error_code(Error::wrong_kind);
        } else if (const auto claimed = stack->claim(handle); !claimed) {
            failure = to_error_code(claimed.error());
        } else {
            failure = {};
            state_->take(handle);
            wake();
        }
    }
    /// Gives the socket up without closing it; what waits completes with operation_aborted.
    native_handle_type release() { return state_->release(); }

    void bind(const endpoint_type& local) {
        error_code failure;
        bind(local, failure);
        check(failure, "bind");
    }
    void bind(const endpoint_type& local, error_code& failure) {
        const auto endpoint = detail::from_asio(local);
        if (!endpoint) {
            failure = endpoint.error();
            return;
        }
        // The stack may answer with another handle: that of the restored socket which is bound there already.
        const auto bound =
            call([&](Stack& stack, SocketHandle handle) { return stack.bind(handle, *endpoint); }, failure);
        if (bound) state_->take(*bound);
    }

    void close() {
        error_code failure;
        close(failure);
        check(failure, "close");
    }
    /// What waits completes with operation_aborted.
    void close(error_code& failure) {
        failure = {};
        auto* const stack = state_->stack();
        const auto handle = state_->release();
        if (stack == nullptr) return;
        const auto closed = stack->close(handle);
        wake();
        if (!closed) failure = to_error_code(closed.error());
    }

    void cancel() {
        error_code failure;
        cancel(failure);
        check(failure, "cancel");
    }
    void cancel(error_code& failure) {
        failure = is_open() ? error_code{} : error_code(boost::asio::error::bad_descriptor);
        state_->cancel();
    }

    [[nodiscard]] endpoint_type local_endpoint() const {
        error_code failure;
        auto result = local_endpoint(failure);
        check(failure, "local_endpoint");
        return result;
    }
    endpoint_type local_endpoint(error_code& failure) const {
        const auto known = info(failure);
        return known ? detail::to_asio<Protocol>(known->local) : endpoint_type{};
    }
    [[nodiscard]] endpoint_type remote_endpoint() const {
        error_code failure;
        auto result = remote_endpoint(failure);
        check(failure, "remote_endpoint");
        return result;
    }
    endpoint_type remote_endpoint(error_code& failure) const {
        const auto known = info(failure);
        if (known && known->remote.port == 0) failure = boost::asio::error::not_connected;
        return known && !failure ? detail::to_asio<Protocol>(known->remote) : endpoint_type{};
    }

    /// Bytes that a read would give without waiting.
    [[nodiscard]] std::size_t available() const {
        error_code failure;
        const auto result = available(failure);
        check(failure, "available");
        return result;
    }
    std::size_t available(error_code& failure) const {
        const auto known = info(failure);
        return known ? known->receive_queue_bytes : 0;
    }

    template <typename Option>
    void set_option(const Option& option) {
        error_code failure;
        set_option(option, failure);
        check(failure, "set_option");
    }
    template <typename Option>
    void set_option(const Option& option, error_code& failure) {
        using traits = detail::option_traits<Option>;
        set_native_option(traits::native, traits::to(option), failure);
    }
    void set_option(const boost::asio::ip::v6_only& option, error_code& failure) {
        failure =
            option.value() ? error_code{} : error_code(boost::asio::error::address_family_not_supported);
    }
    template <typename Option>
    void get_option(Option& option) const {
        error_code failure;
        get_option(option, failure);
        check(failure, "get_option");
    }
    template <typename Option>
    void get_option(Option& option, error_code& failure) const {
        using traits = detail::option_traits<Option>;
        const auto value = call(
            [](Stack& stack, SocketHandle handle) { return stack.option(handle, traits::native); }, failure);
        if (value) option = traits::from(*value);
    }
    /// The options that Asio has no type for.
    void set_native_option(SocketOption option, std::int64_t value, error_code& failure) {
        call([&](Stack& stack, SocketHandle handle) { return stack.set_option(handle, option, value); },
             failure);
    }

    /// Always so: no call of this binding blocks.
    [[nodiscard]] bool non_blocking() const { return true; }
    void non_blocking(bool mode) {
        error_code failure;
        non_blocking(mode, failure);
        check(failure, "non_blocking");
    }
    void non_blocking(bool mode, error_code& failure) {
        failure = mode ? error_code{} : error_code(boost::asio::error::operation_not_supported);
    }

    /// Completes when the socket is readable, writable, or has an error; takes nothing.
    template <typename Token = boost::asio::default_completion_token_t<executor_type>>
    auto async_wait(wait_type what,
                    Token&& token = boost::asio::default_completion_token_t<executor_type>{}) {
        return boost::asio::async_initiate<Token, void(error_code)>(
            [this](auto handler, wait_type for_what) {
                detail::waiting how{.where = detail::lane::error};
                if (for_what == wait_read) how = {.where = detail::lane::in, .wants = Readiness::readable};
                if (for_what == wait_write) how = {.where = detail::lane::out, .wants = Readiness::writable};
                const auto look = [wants = how.wants](Stack& stack,
                                                      SocketHandle handle) -> std::expected<void, Error> {
                    constexpr auto over = static_cast<std::uint8_t>(Readiness::error | Readiness::hung_up);
                    const auto ready = stack.readiness(handle);
                    if (!ready) return std::unexpected(ready.error());
                    if ((ready->bits & (wants | over)) == 0) return std::unexpected(Error::would_block);
                    return {};
                };
                this->begin(std::move(handler), how, detail::performing_void(look));
            },
            token, what);
    }

  protected:
    static constexpr bool is_tcp = std::is_same_v<Protocol, boost::asio::ip::tcp>;

    explicit basic_socket(const home<Executor>& where)
        : executor_(where.executor()), state_(std::make_shared<detail::socket_state>(where.hub())) {}
    basic_socket(basic_socket&& other)
        : executor_(other.executor_),
          state_(std::exchange(other.state_, std::make_shared<detail::socket_state>(other.state_->owner()))) {
    }
    template <typename Other>
    explicit basic_socket(basic_socket<Protocol, Other>&& other)
        : executor_(other.executor_),
          state_(std::exchange(other.state_, std::make_shared<detail::socket_state>(other.state_->owner()))) {
    }
    basic_socket& operator=(basic_socket&& other) {
        if (this != &other) {
            error_code ignored;
            close(ignored);
            executor_ = other.executor_;
            state_ =
                std::exchange(other.state_, std::make_shared<detail::socket_state>(other.state_->owner()));
        }
        return *this;
    }
    ~basic_socket() {
        error_code ignored;
        close(ignored);
    }

    static void check(const error_code& failure, const char* what) {
        if (failure) boost::throw_exception(boost::system::system_error(failure, what));
    }
    void wake() const { state_->owner()->wake(state_->owner()); }

    /// One native call, whose result is empty when it failed.
    template <typename Function>
    auto call(Function function, error_code& failure) const
        -> std::invoke_result_t<Function, Stack&, SocketHandle> {
        failure = {};
        const detail::hub::entry alone(*state_->owner());
        auto* const stack = state_->stack();
        if (stack == nullptr) {
            failure = boost::asio::error::bad_descriptor;
            return std::unexpected(Error::stale_handle);
        }
        auto result = function(*stack, state_->handle());
        if (!result) failure = to_error_code(result.error());
        wake();
        return result;
    }
    std::expected<SocketInfo, Error> info(error_code& failure) const {
        failure = {};
        const auto* const stack = state_->stack();
        auto result = stack != nullptr ? stack->info(state_->handle()) : std::unexpected(Error::stale_handle);
        if (!result) failure = to_error_code(result.error());
        return result;
    }

    template <typename Handler, typename Perform>
    void begin(Handler&& handler, detail::waiting how, Perform perform) const {
        if (!is_open() && !how.failure) how.failure = boost::asio::error::bad_descriptor;
        detail::begin(std::forward<Handler>(handler), executor_, state_, how, std::move(perform));
    }

    [[nodiscard]] const std::shared_ptr<detail::socket_state>& state() const { return state_; }

  private:
    template <typename, typename>
    friend class basic_socket;

    Executor executor_;
    std::shared_ptr<detail::socket_state> state_;
};

}  // namespace keepnet::asio
