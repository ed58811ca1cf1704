#include <keepnet/hosted/network.hpp>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <keepnet/hosted/system.hpp>

namespace keepnet::hosted {
namespace {

constexpr const char* default_address = "fd00:6b6e::2";
constexpr unsigned default_prefix = 64;

std::string text(const Ipv6Address& address) {
    std::array<char, ipv6_text_max> buffer{};
    return std::string(format(address, buffer));
}

Result<Ipv6Address> parse(const char* option, const std::string& value) {
    const auto address = parse_ipv6(value);
    if (!address) return wrong_usage(std::string(option) + " " + value + ": not an IPv6 address");
    return *address;
}

std::vector<AddressInfo> addresses_of(const Stack& stack) {
    std::vector<AddressInfo> all(stack.addresses({}));
    all.resize(std::min(stack.addresses(all), all.size()));
    return all;
}

std::optional<Ipv6Address> gateway_of(const Stack& stack, InterfaceIndex interface) {
    std::vector<RouteInfo> all(stack.routes({}));
    all.resize(std::min(stack.routes(all), all.size()));
    for (const auto& route : all) {
        if (route.prefix_length == 0 && route.interface == interface && route.next_hop != Ipv6Address{})
            return route.next_hop;
    }
    return std::nullopt;
}

std::unexpected<Failure> contradiction(const std::string& asked, const Origin& origin, const std::string& has) {
    return failed(asked + ": the state in " + origin.name + " has " + has +
                  "; leave the option away, or give the state up with --fresh");
}

// A kernel that has just seen us take the cable up throws away what it sends until it has started its queue; then a
// peer's answer to our first word would be lost, and with it the time until it retransmits.
void wait_until_running(const std::string& interface) {
    const Fd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    const auto give_up = monotonic_now() + milliseconds(100);
    while (::ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0 &&
           (request.ifr_flags & IFF_RUNNING) == 0 && monotonic_now() < give_up) {
        (void)pause_for(microseconds(200));
    }
}

}  // namespace

MacAddress mac_for(const Ipv6Address& address) {
    return {{0x02, 0x6b, 0x6e, address.octets[13], address.octets[14], address.octets[15]}};
}

Result<std::unique_ptr<Network>> Network::open(const NetworkOptions& options, const Wrap& wrap) {
    std::unique_ptr<Network> network(new Network);
    network->options_ = options;
    const auto address = parse("--address", options.address.value_or(default_address));
    if (!address) return std::unexpected(address.error());
    network->address_ = *address;
    if (options.prefix && (*options.prefix < 1 || *options.prefix > 128))
        return wrong_usage("--prefix " + std::to_string(*options.prefix) + ": not between 1 and 128");
    if (options.gateway) {
        const auto gateway = parse("--gateway", *options.gateway);
        if (!gateway) return std::unexpected(gateway.error());
        network->gateway_ = *gateway;
    }
    const drivers::TapConfig config{.name = options.tap, .mac = mac_for(*address), .bring_up = options.bring_up};
    auto tap = drivers::TapDevice::open(config);
    if (!tap && tap.error().error == drivers::TapError::busy)
        tap = with_patience([&] { return drivers::TapDevice::open(config); });
    if (!tap) return failed(tap.error().message);
    network->tap_ = std::move(*tap);
    if (wrap) {
        auto wrapped = wrap(*network->tap_);
        if (!wrapped) return std::unexpected(wrapped.error());
        network->wrapped_ = std::move(*wrapped);
    }
    return network;
}

std::string Network::address_text() const { return text(address_); }

Result<> Network::attach(Stack& stack, const Origin& restored_from) {
    wait_until_running(options_.tap);
    LinkDevice& device = wrapped_ ? *wrapped_ : static_cast<LinkDevice&>(*tap_);
    const auto interface = stack.attach_device(device, {.private_link = options_.private_link});
    if (!interface) return failed(options_.tap + ": " + std::string(name(interface.error())));
    interface_ = *interface;
    if (const auto done = set_address(stack, restored_from); !done) return done;
    return set_gateway(stack, restored_from);
}

Result<> Network::set_address(Stack& stack, const Origin& origin) {
    std::optional<AddressInfo> first;
    for (const auto& known : addresses_of(stack)) {
        if (known.interface != interface_ || known.address.is_link_local()) continue;
        if (!first || known.address == address_) first = known;
    }
    if (first && options_.address && first->address != address_)
        return contradiction("--address " + *options_.address, origin, text(first->address));
    if (first && options_.prefix && first->prefix_length != *options_.prefix) {
        return contradiction("--prefix " + std::to_string(*options_.prefix), origin,
                             text(first->address) + "/" + std::to_string(first->prefix_length));
    }
    if (first) {
        address_ = first->address;
        return {};
    }
    const auto prefix = static_cast<std::uint8_t>(options_.prefix.value_or(default_prefix));
    const auto added = stack.add_address(interface_, address_, prefix);
    if (!added) return failed("address " + text(address_) + ": " + std::string(name(added.error())));
    return {};
}

Result<> Network::set_gateway(Stack& stack, const Origin& origin) {
    if (!gateway_) return {};
    const auto known = gateway_of(stack, interface_);
    if (known == gateway_) return {};
    if (known) return contradiction("--gateway " + *options_.gateway, origin, "the router " + text(*known));
    const auto routed = stack.add_route({}, 0, interface_, *gateway_);
    if (!routed) return failed("--gateway " + *options_.gateway + ": " + std::string(name(routed.error())));
    return {};
}

Result<> Network::wait_for_address(Stack& stack, Duration at_most) {
    const auto give_up = monotonic_now() + at_most;
    for (;;) {
        const auto now = monotonic_now();
        const auto next = std::min(stack.poll(now).next_deadline, give_up);
        const auto status = stack.address_status(address_);
        if (status == AddressStatus::duplicate) return failed(address_text() + ": another host on the link has it");
        if (!status) return failed(address_text() + ": it is gone");
        if (*status != AddressStatus::tentative) return {};
        if (now >= give_up) return failed(address_text() + ": not usable in time");
        pollfd device{.fd = fd(), .events = POLLIN, .revents = 0};
        const auto left = std::clamp(next - monotonic_now(), Duration{0}, milliseconds(100));
        (void)::poll(&device, 1, static_cast<int>(left.ns / 1'000'000 + 1));
    }
}

}  // namespace keepnet::hosted
