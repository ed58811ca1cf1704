// Who a restored state is: a clone beside a living original takes nothing that is the original's (DESIGN 7), and an
// address map moves what can be moved. Changes state alone; in Stack: behind renew(), before anything is derived.
#pragma once

#include <span>

#include <keepnet/stack.hpp>

#include "ip/ip.hpp"
#include "state/world.hpp"

namespace keepnet::durability {

/// Every secret and every start value anew, from the generator.
void draw_secrets(StackState& s);

/// Secrets, clock, ports, link addresses and generated addresses of its own. Its connections are tcp::resume's part.
void become_clone(ip::IpContext& cx);

/// Addresses, listeners, bound and unconnected sockets move; all entries at once, the first one for an address counts.
/// What would collide stays where it was, on an address that is gone.
void move_addresses(ip::IpContext& cx, std::span<const AddressMapping> map);

/// Sockets without a connection that are bound to an address that is not ours say so. When all addresses are known.
void tell_homeless_sockets(ip::IpContext& cx);

}  // namespace keepnet::durability
