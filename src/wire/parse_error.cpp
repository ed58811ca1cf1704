#include "wire/parse_error.hpp"

namespace keepnet::wire {

using namespace std::string_view_literals;  // the length is known: no call of strlen

std::string_view name(ParseError error) {
    switch (error) {
        case ParseError::invalid:
            return "invalid"sv;
        case ParseError::truncated:
            return "truncated"sv;
        case ParseError::bad_version:
            return "bad_version"sv;
        case ParseError::bad_length:
            return "bad_length"sv;
        case ParseError::bad_checksum:
            return "bad_checksum"sv;
        case ParseError::bad_option:
            return "bad_option"sv;
        case ParseError::bad_type:
            return "bad_type"sv;
        case ParseError::bad_code:
            return "bad_code"sv;
        case ParseError::bad_address:
            return "bad_address"sv;
    }
    return "unknown"sv;
}

}  // namespace keepnet::wire
