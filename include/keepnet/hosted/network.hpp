// A stack's place in the network: a TAP interface, an address, a router. What a restored stack has already stays as it is;
// to ask for something else is an error that names both.
//
//     hosted::NetworkOptions options{.tap = "keepnet0", .address = "fd00::2"};
//     auto network = hosted::Network::open(options, {});         // before the stack is made: its link comes up meanwhile
//     ...
//     auto configured = (*network)->attach(stack);               // once it is there, new or restored
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <keepnet/address.hpp>
#include <keepnet/drivers/tap/tap.hpp>
#include <keepnet/hosted/main.hpp>
#include <keepnet/stack.hpp>

namespace keepnet::hosted {

/// What is not given is what the restored stack has, or the default.
struct NetworkOptions {
    std::string tap = "keepnet0";        ///< the interface
    std::optional<std::string> address{};  ///< of the stack; default fd00:6b6e::2
    std::optional<unsigned> prefix{};    ///< its length, 1..128; default 64
    std::optional<std::string> gateway{};  ///< default router; default none
    bool bring_up = false;               ///< sets the kernel's side of the interface up
    bool private_link = false;           ///< InterfaceConfig::private_link
};

/// Where the state came from, for what is said about a contradiction; empty: there is none.
struct Origin {
    std::string name{};
};

/// The same each time, so that a stack that starts afresh is found at the link address that its peers know.
MacAddress mac_for(const Ipv6Address& address);

class Network {
  public:
    /// Reads the options and opens the interface. `wrap`, if given, may put a filter around the device; what it gives
    /// lives as long as this object.
    using Wrap = std::function<Result<std::shared_ptr<LinkDevice>>(LinkDevice&)>;
    static Result<std::unique_ptr<Network>> open(const NetworkOptions& options, const Wrap& wrap);
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;
    ~Network() = default;

    /// Waits until the link runs, attaches the device, sets address and router unless they are there.
    Result<> attach(Stack& stack, const Origin& restored_from = {});
    /// Polls until the address can be used: duplicate address detection takes a second, and nothing can be connected
    /// before. Fails: a duplicate was found, or `at_most` has passed.
    Result<> wait_for_address(Stack& stack, Duration at_most = seconds(10));

    [[nodiscard]] InterfaceIndex interface() const { return interface_; }
    /// What is, not what was asked for.
    [[nodiscard]] const Ipv6Address& address() const { return address_; }
    [[nodiscard]] std::string address_text() const;
    /// Readable when the device has frames.
    [[nodiscard]] int fd() const { return tap_->fd(); }

  private:
    Network() = default;
    Result<> set_address(Stack& stack, const Origin& origin);
    Result<> set_gateway(Stack& stack, const Origin& origin);

    NetworkOptions options_{};
    Ipv6Address address_{};
    std::optional<Ipv6Address> gateway_{};
    InterfaceIndex interface_ = 0;
    std::unique_ptr<drivers::TapDevice> tap_{};
    std::shared_ptr<LinkDevice> wrapped_{};
};

}  // namespace keepnet::hosted
