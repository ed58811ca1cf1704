// Names and services to endpoints, as boost::asio::ip::basic_resolver gives them: numeric addresses, the hosts file,
// numeric ports, the services file. Nothing is asked of the network yet, so that nothing here waits; the asynchronous calls
// answer through the handler's executor all the same. IPv6 alone: a host with nothing but an IPv4 address is not found.
#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <boost/asio/ip/basic_resolver_results.hpp>
#include <boost/asio/ip/resolver_base.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <boost/throw_exception.hpp>

#include <keepnet/asio/basic_socket.hpp>

namespace keepnet::asio {

/// Where names are looked up.
struct name_files {
    std::string hosts = "/etc/hosts";
    std::string services = "/etc/services";
};

namespace detail {

inline bool is_same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

/// Calls `take(first word, the other words)` for each line of a file of names; a comment begins with '#'.
template <typename Take>
void for_each_line(const std::string& path, Take take) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line.substr(0, line.find('#')));
        std::string first;
        std::vector<std::string> others;
        words >> first;
        for (std::string word; words >> word;) others.push_back(word);
        if (!first.empty() && !others.empty()) take(first, others);
    }
}

inline std::optional<net::ip::address_v6> numeric_address(const std::string& text) {
    error_code failure;
    const auto address = net::ip::make_address_v6(text, failure);
    if (failure) return std::nullopt;
    return address;
}

inline std::vector<net::ip::address_v6> addresses_of(const std::string& host, const name_files& files,
                                                     net::ip::resolver_base::flags flags) {
    if (host.empty()) {
        const bool passive = (flags & net::ip::resolver_base::passive) != 0;
        return {passive ? net::ip::address_v6::any() : net::ip::address_v6::loopback()};
    }
    if (const auto address = numeric_address(host)) return {*address};
    std::vector<net::ip::address_v6> found;
    if ((flags & net::ip::resolver_base::numeric_host) != 0) return found;
    for_each_line(files.hosts, [&](const std::string& text, const std::vector<std::string>& names) {
        const auto address = numeric_address(text);
        const bool named = std::ranges::any_of(names, [&](const auto& name) { return is_same_name(name, host); });
        if (address && named && std::ranges::find(found, *address) == found.end()) found.push_back(*address);
    });
    // RFC 6761 6.3: whatever the file says, or does not.
    if (found.empty() && is_same_name(host, "localhost")) found.push_back(net::ip::address_v6::loopback());
    return found;
}

inline std::optional<std::uint16_t> port_of(const std::string& service, std::string_view protocol, const name_files& files,
                                            net::ip::resolver_base::flags flags) {
    if (service.empty()) return std::uint16_t{0};
    std::uint16_t port = 0;
    const auto* const last = service.data() + service.size();
    const auto [end, error] = std::from_chars(service.data(), last, port);
    if (error == std::errc{} && end == last) return port;
    std::optional<std::uint16_t> found;
    if ((flags & net::ip::resolver_base::numeric_service) != 0) return found;
    for_each_line(files.services, [&](const std::string& name, const std::vector<std::string>& rest) {
        const std::string& where = rest.front();  // "80/tcp", aliases behind it
        const auto slash = where.find('/');
        const bool named = name == service || std::find(rest.begin() + 1, rest.end(), service) != rest.end();
        if (found || !named || slash == std::string::npos || where.substr(slash + 1) != protocol) return;
        std::uint16_t number = 0;
        if (std::from_chars(where.data(), where.data() + slash, number).ptr == where.data() + slash) found = number;
    });
    return found;
}

/// The first name of an address.
inline std::string name_of(const net::ip::address& address, const name_files& files) {
    std::string found;
    for_each_line(files.hosts, [&](const std::string& text, const std::vector<std::string>& names) {
        const auto known = numeric_address(text);
        if (found.empty() && known && *known == address) found = names.front();
    });
    return found.empty() ? address.to_string() : found;
}

}  // namespace detail

template <typename Protocol, typename Executor = boost::asio::any_io_executor>
class basic_resolver : public boost::asio::ip::resolver_base {
  public:
    using executor_type = Executor;
    using protocol_type = Protocol;
    using endpoint_type = typename Protocol::endpoint;
    using results_type = boost::asio::ip::basic_resolver_results<Protocol>;
    using error_code = boost::system::error_code;
    using default_token = boost::asio::default_completion_token_t<executor_type>;
    template <typename Other>
    struct rebind_executor {
        using other = basic_resolver<Protocol, Other>;
    };

    explicit basic_resolver(const home<Executor>& where, name_files files = {})
        : executor_(where.executor()), files_(std::move(files)) {}
    basic_resolver(basic_resolver&&) = default;
    basic_resolver& operator=(basic_resolver&&) = default;
    template <typename Other>
    requires(!std::same_as<Other, Executor> && std::convertible_to<Other, Executor>)
        basic_resolver(basic_resolver<Protocol, Other>&& other)
        : executor_(other.executor_), files_(std::move(other.files_)), era_(std::move(other.era_)) {}
    basic_resolver(const basic_resolver&) = delete;
    basic_resolver& operator=(const basic_resolver&) = delete;
    /// What is on its way completes with operation_aborted.
    ~basic_resolver() { cancel(); }

    [[nodiscard]] executor_type get_executor() const noexcept { return executor_; }
    void cancel() {
        if (era_) ++*era_;
    }

    results_type resolve(std::string_view host, std::string_view service, flags how, error_code& failure) {
        return look_up(std::string(host), std::string(service), how, failure);
    }
    results_type resolve(std::string_view host, std::string_view service, error_code& failure) {
        return resolve(host, service, flags(), failure);
    }
    results_type resolve(std::string_view host, std::string_view service, flags how = flags()) {
        error_code failure;
        auto results = resolve(host, service, how, failure);
        if (failure) boost::throw_exception(boost::system::system_error(failure, "resolve"));
        return results;
    }
    /// Protocol::v6() is the only one that finds anything.
    results_type resolve(const protocol_type& protocol, std::string_view host, std::string_view service, flags how,
                         error_code& failure) {
        if (protocol == protocol_type::v6()) return resolve(host, service, how, failure);
        failure = boost::asio::error::host_not_found;
        return {};
    }
    results_type resolve(const protocol_type& protocol, std::string_view host, std::string_view service,
                         flags how = flags()) {
        error_code failure;
        auto results = resolve(protocol, host, service, how, failure);
        if (failure) boost::throw_exception(boost::system::system_error(failure, "resolve"));
        return results;
    }
    /// The other way round; an address without a name has its own text as one.
    results_type resolve(const endpoint_type& endpoint, error_code& failure) {
        failure = {};
        return results_type::create(endpoint, detail::name_of(endpoint.address(), files_),
                                    std::to_string(endpoint.port()));
    }

    /// Handlers are void(error_code, results_type).
    template <typename Token = default_token>
    auto async_resolve(std::string_view host, std::string_view service, flags how, Token&& token = default_token{}) {
        error_code failure;
        auto results = resolve(host, service, how, failure);
        return answer(failure, std::move(results), std::forward<Token>(token));
    }
    template <typename Token = default_token>
    requires(!std::convertible_to<Token, flags>)
    auto async_resolve(std::string_view host, std::string_view service, Token&& token = default_token{}) {
        return async_resolve(host, service, flags(), std::forward<Token>(token));
    }
    template <typename Token = default_token>
    auto async_resolve(const protocol_type& protocol, std::string_view host, std::string_view service, flags how,
                       Token&& token = default_token{}) {
        error_code failure;
        auto results = resolve(protocol, host, service, how, failure);
        return answer(failure, std::move(results), std::forward<Token>(token));
    }
    template <typename Token = default_token>
    requires(!std::convertible_to<Token, flags>)
    auto async_resolve(const protocol_type& protocol, std::string_view host, std::string_view service,
                       Token&& token = default_token{}) {
        return async_resolve(protocol, host, service, flags(), std::forward<Token>(token));
    }
    template <typename Token = default_token>
    auto async_resolve(const endpoint_type& endpoint, Token&& token = default_token{}) {
        error_code failure;
        auto results = resolve(endpoint, failure);
        return answer(failure, std::move(results), std::forward<Token>(token));
    }

  private:
    template <typename, typename>
    friend class basic_resolver;
    static constexpr const char* protocol_name = std::is_same_v<Protocol, boost::asio::ip::tcp> ? "tcp" : "udp";

    results_type look_up(const std::string& host, const std::string& service, flags how, error_code& failure) {
        failure = {};
        const auto addresses = detail::addresses_of(host, files_, how);
        const auto port = detail::port_of(service, protocol_name, files_, how);
        if (addresses.empty()) {
            failure = boost::asio::error::host_not_found;
        } else if (!port) {
            failure = boost::asio::error::service_not_found;
        }
        if (failure) return {};
        std::vector<endpoint_type> endpoints;
        for (const auto& address : addresses) endpoints.emplace_back(address, *port);
        return results_type::create(endpoints.begin(), endpoints.end(), host, service);
    }

    template <typename Token>
    auto answer(error_code failure, results_type results, Token&& token) {
        return boost::asio::async_initiate<Token, void(error_code, results_type)>(
            [executor = executor_, era = era_, born = *era_](auto handler, error_code failed, results_type found) {
                const auto where = boost::asio::get_associated_executor(handler, executor);
                boost::asio::post(where, [handler = std::move(handler), failed, found = std::move(found), era,
                                          born]() mutable {
                    if (*era == born) return std::move(handler)(failed, std::move(found));
                    std::move(handler)(error_code(boost::asio::error::operation_aborted), results_type{});
                });
            },
            token, failure, std::move(results));
    }

    Executor executor_;
    name_files files_;
    std::shared_ptr<std::uint64_t> era_ = std::make_shared<std::uint64_t>(0);
};

}  // namespace keepnet::asio
