// Devices, addresses and routes: the Stack's methods over link, ip and nd.
#include "nd/nd.hpp"
#include "stack/core.hpp"

namespace keepnet {

namespace {

/// The lowest interface without a device: after a restore the devices come back in the order they had.
InterfaceIndex find_vacant(const Core& core) {
    for (std::uint32_t i = core.world.interfaces.next(0); i != BitTree::none; i = core.world.interfaces.next(i + 1)) {
        if (core.ports.of(i + 1).device == nullptr) return i + 1;
    }
    return 0;
}

std::uint16_t usable_mtu(const Core& core, const LinkCapabilities& capabilities, const InterfaceConfig& config) {
    std::uint16_t mtu = config.mtu != 0 && config.mtu < capabilities.mtu ? config.mtu : capabilities.mtu;
    const std::uint16_t most = core.world.config().ip.mtu_max;
    if (mtu > most) mtu = most;
    return mtu;
}

void plug(Core& core, InterfaceIndex interface, LinkDevice& device) {
    link::Port& port = core.ports.of(interface);
    port.device = &device;
    port.capabilities = device.capabilities();
}

}  // namespace

void attach_silently(Core& core, InterfaceIndex interface, LinkDevice& device) { plug(core, interface, device); }

std::expected<InterfaceIndex, Error> Stack::attach_device(LinkDevice& device, const InterfaceConfig& config) {
    const Step step(*core_);
    World& w = core_->world;
    const LinkCapabilities capabilities = device.capabilities();
    if (usable_mtu(*core_, capabilities, config) < 1280) return std::unexpected(Error::invalid_argument);
    if (config.interface != 0 &&
        (!w.interfaces.is_live(config.interface - 1) || core_->ports.of(config.interface).device != nullptr)) {
        return std::unexpected(Error::no_device);
    }
    InterfaceIndex index = config.interface != 0 ? config.interface : find_vacant(*core_);
    const bool is_new = index == 0;
    if (is_new) {
        const auto handle = w.interfaces.create();
        if (!handle) return std::unexpected(Error::no_memory);
        index = handle.index() + 1;
    }
    InterfaceState& state = w.interfaces.edit(index - 1);
    if (is_new) {
        state.index = index;
        state.mac = capabilities.mac;
        state.hop_limit = w.config().ip.hop_limit;
        state.retransmit = w.config().nd.retransmit;
        state.link_local_wanted = config.link_local;
    }
    auto cx = core_->ip_context();
    // A clone has no MAC yet: its original's is not its own.
    const MacAddress wanted = !config.mac.is_unspecified()   ? config.mac
                              : state.mac.is_unspecified() ? capabilities.mac
                                                           : state.mac;
    if (wanted != state.mac) {
        state.mac = wanted;
        ip::on_mac_changed(cx, index);
    }
    state.private_link = config.private_link;
    state.mtu = usable_mtu(*core_, capabilities, config);
    plug(*core_, index, device);
    if (is_new) {
        ip::on_interface_up(cx, index);
    } else {
        device.restore(state.device);
        nd::announce(cx, index);
    }
    return index;
}

std::expected<void, Error> Stack::detach_device(InterfaceIndex interface) {
    const Step step(*core_);
    if (interface == 0 || !core_->world.interfaces.is_live(interface - 1) ||
        core_->ports.of(interface).device == nullptr) {
        return std::unexpected(Error::no_device);
    }
    link::Port& port = core_->ports.of(interface);
    core_->world.interfaces.edit(interface - 1).device = port.device->state();
    port.device = nullptr;
    return {};
}

std::expected<void, Error> Stack::add_address(InterfaceIndex interface, const Ipv6Address& address,
                                              std::uint8_t prefix_length) {
    const Step step(*core_);
    auto cx = core_->ip_context();
    return ip::add_address(cx, interface, address, prefix_length, false);
}

std::expected<void, Error> Stack::remove_address(InterfaceIndex interface, const Ipv6Address& address) {
    const Step step(*core_);
    auto cx = core_->tcp_context();
    const auto done = ip::remove_address(cx, interface, address);
    core_->world.address_lost = false;
    if (done) tcp::on_address_lost(cx);
    return done;
}

std::expected<void, Error> Stack::add_route(const Ipv6Address& prefix, std::uint8_t prefix_length,
                                            InterfaceIndex interface, const Ipv6Address& next_hop) {
    const Step step(*core_);
    auto cx = core_->ip_context();
    return ip::add_route(cx, prefix, prefix_length, interface, next_hop, false);
}

std::expected<void, Error> Stack::remove_route(const Ipv6Address& prefix, std::uint8_t prefix_length,
                                               InterfaceIndex interface) {
    const Step step(*core_);
    auto cx = core_->ip_context();
    return ip::remove_route(cx, prefix, prefix_length, interface);
}

std::optional<InterfaceInfo> Stack::interface_info(InterfaceIndex interface) const {
    if (interface == 0 || !core_->world.interfaces.is_live(interface - 1)) return {};
    const InterfaceState& state = core_->world.interfaces.get(interface - 1);
    const link::Port& port = core_->ports.of(interface);
    const bool has_device = port.device != nullptr;
    return InterfaceInfo{state.index, state.mac, state.mtu,
                         has_device ? port.device->link_state() : LinkState::down, has_device};
}

std::size_t Stack::addresses(std::span<AddressInfo> out) const {
    std::size_t n = 0;
    core_->world.addresses.for_each([&](std::uint32_t, const AddressState& a) {
        if (n < out.size()) {
            out[n] = {a.address, a.prefix_length, a.interface, static_cast<AddressStatus>(a.status)};
        }
        ++n;
    });
    return n;
}

std::optional<AddressStatus> Stack::address_status(const Ipv6Address& address) const {
    std::optional<AddressStatus> found;
    core_->world.addresses.for_each([&](std::uint32_t, const AddressState& a) {
        const auto status = static_cast<AddressStatus>(a.status);
        if (a.address == address && (!found || *found == AddressStatus::tentative)) found = status;
    });
    return found;
}

std::size_t Stack::routes(std::span<RouteInfo> out) const {
    std::size_t n = 0;
    core_->world.routes.for_each([&](std::uint32_t, const RouteState& r) {
        if (n < out.size()) out[n] = {r.prefix, r.prefix_length, r.interface, r.next_hop};
        ++n;
    });
    return n;
}

}  // namespace keepnet
