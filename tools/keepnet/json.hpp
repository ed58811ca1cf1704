// Values of the schema as JSON. Instants that are never or long ago are null; bytes are hexadecimal.
#pragma once

#include <capnp/dynamic.h>

#include <cstdio>
#include <ostream>
#include <string>
#include <string_view>

#include <keepnet/address.hpp>

namespace keepnet::tool {

class Json {
  public:
    explicit Json(std::ostream& out) : out_(out) {}

    void text(std::string_view s) {
        out_ << '"';
        for (const char c : s) {
            const auto byte = static_cast<unsigned char>(c);
            if (c == '"' || c == '\\') {
                out_ << '\\' << c;
            } else if (byte < 0x20 || byte >= 0x7f) {  // bytes, not characters: whatever a name holds
                char escaped[8];
                std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
                out_ << escaped;
            } else {
                out_ << c;
            }
        }
        out_ << '"';
    }
    void key(std::string_view name) {
        text(name);
        out_ << ": ";
    }
    void hex(capnp::Data::Reader bytes) {
        static constexpr char digits[] = "0123456789abcdef";
        out_ << '"';
        for (const auto byte : bytes) out_ << digits[byte >> 4] << digits[byte & 15];
        out_ << '"';
    }
    void value(std::string_view name, const capnp::DynamicValue::Reader& v) {
        switch (v.getType()) {
            case capnp::DynamicValue::BOOL: out_ << (v.as<bool>() ? "true" : "false"); return;
            case capnp::DynamicValue::INT: integer(v.as<std::int64_t>()); return;
            case capnp::DynamicValue::UINT: number(name, v.as<std::uint64_t>()); return;
            case capnp::DynamicValue::TEXT: {
                const auto t = v.as<capnp::Text>();
                text({t.begin(), t.size()});
                return;
            }
            case capnp::DynamicValue::DATA: hex(v.as<capnp::Data>()); return;
            case capnp::DynamicValue::ENUM: enumeration(v.as<capnp::DynamicEnum>()); return;
            case capnp::DynamicValue::LIST: list(name, v.as<capnp::DynamicList>()); return;
            case capnp::DynamicValue::STRUCT: structure(v.as<capnp::DynamicStruct>()); return;
            case capnp::DynamicValue::UNKNOWN:
            case capnp::DynamicValue::VOID:
            case capnp::DynamicValue::FLOAT:
            case capnp::DynamicValue::CAPABILITY:
            case capnp::DynamicValue::ANY_POINTER: out_ << "null"; return;
        }
    }
    void list(std::string_view name, const capnp::DynamicList::Reader& elements) {
        out_ << '[';
        const char* separator = "";
        for (const auto element : elements) {
            out_ << separator;
            value(name, element);
            separator = ", ";
        }
        out_ << ']';
    }

  private:
    void integer(std::int64_t n) {
        if (n == INT64_MAX || n == INT64_MIN) {
            out_ << "null";
        } else {
            out_ << n;
        }
    }
    void number(std::string_view name, std::uint64_t n) {
        if (name != "mac") {
            out_ << n;
            return;
        }
        MacAddress mac;
        for (std::size_t i = 0; i < 6; ++i) mac.octets[i] = static_cast<std::uint8_t>(n >> (40 - 8 * i));
        char buffer[mac_text_max];
        text(format(mac, buffer));
    }
    void enumeration(const capnp::DynamicEnum& e) {
        KJ_IF_MAYBE(enumerant, e.getEnumerant()) {
            text(enumerant->getProto().getName().cStr());
        } else {
            out_ << e.getRaw();
        }
    }
    void structure(const capnp::DynamicStruct::Reader& s) {
        const auto fields = s.getSchema().getFields();
        if (fields.size() == 2 && fields[0].getProto().getName() == capnp::Text::Reader("high")) {
            return address(s.get("high").as<std::uint64_t>(), s.get("low").as<std::uint64_t>());
        }
        out_ << '{';
        const char* separator = "";
        for (const auto field : fields) {
            out_ << separator;
            const std::string name = field.getProto().getName().cStr();
            key(name);
            value(name, s.get(field));
            separator = ", ";
        }
        out_ << '}';
    }
    void address(std::uint64_t high, std::uint64_t low) {
        Ipv6Address a;
        for (std::size_t i = 0; i < 16; ++i) {
            a.octets[i] = static_cast<std::uint8_t>((i < 8 ? high : low) >> (56 - 8 * (i % 8)));
        }
        char buffer[ipv6_text_max];
        text(format(a, buffer));
    }

    std::ostream& out_;
};

}  // namespace keepnet::tool
