#include "packetdrill/adapter/flags.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>

namespace keepnet::packetdrill {

namespace {

/// The whole of `text` as a number from `least` to `most`.
template <class T>
std::optional<T> to_number(std::string_view text, T least, T most) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) return std::nullopt;
    return value;
}

template <class T, class Field>
bool set_number(std::string_view text, T least, T most, Field& field) {
    const auto value = to_number<T>(text, least, most);
    if (value) field = *value;
    return value.has_value();
}

bool set_flag(std::string_view key, std::string_view value, Flags& flags) {
    using u16 = std::uint16_t;
    using u32 = std::uint32_t;
    if (key == "local") {
        const auto address = parse_ipv6(value);
        if (address) flags.local = *address;
        return address.has_value();
    }
    if (key == "mtu") return set_number<u16>(value, 1280, 1980, flags.mtu);
    if (key == "quickack") return set_number<u32>(value, 0, 255, flags.quickack);
    if (key == "window") return set_number<u32>(value, 4096, 16U << 20, flags.window);
    if (key == "iw") return set_number<u32>(value, 1, 255, flags.iw);
    return false;
}


}  // namespace

std::expected<Flags, std::string> parse_flags(std::string_view text) {
    Flags flags;
    while (!text.empty()) {
        const std::string_view entry = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), entry.size() + 1));
        const std::size_t equals = entry.find('=');
        const bool known = equals != std::string_view::npos &&
                           set_flag(entry.substr(0, equals), entry.substr(equals + 1), flags);
        if (!known) return std::unexpected("unknown or impossible flag: " + std::string(entry));
    }
    if (flags.local.is_unspecified()) return std::unexpected("local=ADDR is missing");
    return flags;
}

std::vector<std::int64_t> Sysctls::numbers(std::string_view name) const {
    std::istringstream line(word(name));
    std::vector<std::int64_t> out;
    for (std::int64_t n = 0; line >> n;) out.push_back(n);
    return out;
}

std::optional<std::int64_t> Sysctls::number(std::string_view name) const {
    const auto all = numbers(name);
    return all.empty() ? std::nullopt : std::optional(all.front());
}

std::string Sysctls::word(std::string_view name) const {
    std::ifstream file(folder_ + "/" + std::string(name));
    std::string line;
    std::getline(file, line);
    return line;
}

}  // namespace keepnet::packetdrill
