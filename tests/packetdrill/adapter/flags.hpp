// What a run of the tool sets: its flags (`--so_flags`), and the values below /proc/sys/net/ipv4 that its scripts write.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <keepnet/stack.hpp>

namespace keepnet::packetdrill {

struct Flags {
    Ipv6Address local{};                      ///< local=ADDR, must be there
    std::uint16_t mtu = 1500;                 ///< mtu=N
    std::optional<std::uint32_t> quickack{};  ///< quickack=N: how many first segments are acknowledged at once; else as Linux
    std::optional<std::uint32_t> window{};    ///< window=BYTES: the receive buffer, whatever tcp_rmem says
    std::optional<std::uint32_t> iw{};        ///< iw=N: segments of the initial window
};
/// Comma-separated key=value; or what is wrong with them.
std::expected<Flags, std::string> parse_flags(std::string_view text);

/// The kernel's settings as they are when they are asked for.
class Sysctls {
  public:
    explicit Sysctls(std::string folder = "/proc/sys/net/ipv4") : folder_(std::move(folder)) {}
    /// The numbers in one line; empty when there is no such file.
    [[nodiscard]] std::vector<std::int64_t> numbers(std::string_view name) const;
    [[nodiscard]] std::optional<std::int64_t> number(std::string_view name) const;
    [[nodiscard]] std::string word(std::string_view name) const;

  private:
    std::string folder_;
};

/// The stack as the settings want it.
StackConfig make_config(const Flags& flags, const Sysctls& sysctls);

}  // namespace keepnet::packetdrill
