// The frames of a snapshot as one JSON object, by the schema itself: a field that is added to it is printed.
#include <capnp/dynamic.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <ostream>
#include <string>

#include "checkpoint/snapshot.capnp.h"
#include "inspect.hpp"
#include "json.hpp"

namespace keepnet::tool {
namespace {

using checkpoint::schema::Frame;

/// Where the objects of a frame are; and the bytes that go with them.
capnp::DynamicValue::Reader objects_of(const capnp::DynamicStruct::Reader& frame, const std::string& kind) {
    const auto value = frame.get(kind.c_str());
    if (value.getType() != capnp::DynamicValue::STRUCT || kind == "stack" || kind == "statistics" || kind == "header" ||
        kind == "trailer") {
        return value;
    }
    for (const auto field : value.as<capnp::DynamicStruct>().getSchema().getFields()) {
        const auto inner = value.as<capnp::DynamicStruct>().get(field);
        if (inner.getType() == capnp::DynamicValue::LIST) return inner;
    }
    return value;
}

}  // namespace

void print_json(std::ostream& out, const checkpoint::Decoder& decoder, const std::vector<checkpoint::Blob>& blobs) {
    Json json(out);
    out << "{\n";
    json.key("format");
    const auto& envelope = decoder.layers().back().envelope;
    json.text(std::to_string(envelope.major) + "." + std::to_string(envelope.minor));
    // All kinds, also those of which there is nothing, so that a program finds what it looks for.
    for (const auto field : capnp::Schema::from<Frame>().getUnionFields()) {
        const std::string kind = field.getProto().getName().cStr();
        if (kind == "invalid" || kind == "blob" || kind == "freed") continue;  // freed: of increments alone
        const bool is_single = kind == "header" || kind == "stack" || kind == "statistics" || kind == "trailer";
        out << ",\n";
        json.key(kind);
        if (!is_single) out << '[';
        const char* separator = is_single ? "" : "\n  ";
        for (const auto& words : envelope.frames) {
            capnp::FlatArrayMessageReader message(words, {.traversalLimitInWords = 16 * words.size() + 64});
            const capnp::DynamicStruct::Reader frame = message.getRoot<Frame>();
            KJ_IF_MAYBE(which, frame.which()) {
                if (which->getProto().getName() != capnp::Text::Reader(kind.c_str())) continue;
            } else {
                continue;
            }
            const auto objects = objects_of(frame, kind);
            if (is_single) {
                json.value(kind, objects);
                continue;
            }
            for (const auto object : objects.as<capnp::DynamicList>()) {
                out << separator;
                json.value(kind, object);
                separator = ",\n  ";
            }
        }
        if (!is_single) out << ']';
    }
    out << ",\n";
    json.key("blobs");
    out << '[';
    const char* separator = "";
    for (const auto& blob : blobs) {
        out << separator << '{';
        json.key("name");
        json.text(blob.name);
        out << ", ";
        json.key("bytes");
        out << blob.bytes.size() << '}';
        separator = ", ";
    }
    out << "]\n}\n";
}

}  // namespace keepnet::tool
