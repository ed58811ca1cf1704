// Both snapshots as values of the schema, object beside object: by kind, slot and generation. Instants count from A's cut
// on both sides, so that a deadline that did not move does not show.
#include <capnp/dynamic.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <map>
#include <memory>
#include <sstream>
#include <tuple>
#include <utility>

#include "commands.hpp"
#include "files.hpp"
#include "json.hpp"

namespace keepnet::tool {
namespace {

using checkpoint::Failure;
using checkpoint::schema::Frame;
using Fields = std::vector<std::pair<std::string, std::string>>;  // path, value as JSON

struct Object {
    std::uint64_t generation = 0;
    Fields fields{};
};
/// By the number of the kind and slot.
using Objects = std::map<std::pair<unsigned, std::uint32_t>, Object>;

struct Side {
    std::uint64_t cut = 0;
    std::uint64_t epoch = 0;
    Objects objects{};
    std::vector<checkpoint::Blob> blobs{};
};

// --- reading ---

void flatten(const capnp::DynamicStruct::Reader& s, const std::string& prefix, Fields& fields) {
    for (const auto field : s.getSchema().getFields()) {
        const std::string name = field.getProto().getName().cStr();
        if (prefix.empty() && (name == "index" || name == "generation" || name == "stamp")) continue;
        const auto value = s.get(field);
        const bool is_address = value.getType() == capnp::DynamicValue::STRUCT &&
                                value.as<capnp::DynamicStruct>().getSchema().getFields()[0].getProto().getName() ==
                                    capnp::Text::Reader("high");
        if (value.getType() == capnp::DynamicValue::STRUCT && !is_address) {
            flatten(value.as<capnp::DynamicStruct>(), prefix + name + ".", fields);
            continue;
        }
        std::ostringstream out;
        Json(out).value(name, value);
        fields.emplace_back(prefix + name, out.str());
    }
}

void add_object(Objects& objects, unsigned kind, const capnp::DynamicStruct::Reader& s) {
    Object object{s.get("generation").as<std::uint64_t>(), {}};
    flatten(s, "", object.fields);
    objects[{kind, s.get("index").as<std::uint32_t>()}] = std::move(object);
}

/// The union's fields from `stack` to `sliceNodes` stand for the kinds, in their order; later ones stand behind the rest.
unsigned number_of(unsigned kind) {
    const bool is_later = static_cast<StateKind>(kind) > StateKind::slice_node;  // behind buffers, blob, trailer, freed
    return is_later ? kind + 5 : kind + 1;
}
std::string kind_of(unsigned kind) {
    return capnp::Schema::from<Frame>().getUnionFields()[number_of(kind)].getProto().getName().cStr();
}

void add_frame(Objects& objects, const capnp::DynamicStruct::Reader& frame) {
    KJ_IF_MAYBE(which, frame.which()) {
        const auto number = which->getProto().getDiscriminantValue();
        unsigned kind = 1;
        while (kind <= checkpoint::state_kinds && number_of(kind) != number) ++kind;
        if (kind > checkpoint::state_kinds) return;
        auto value = frame.get(*which);
        if (value.getType() == capnp::DynamicValue::STRUCT) {
            const auto s = value.as<capnp::DynamicStruct>();
            if (kind <= 2) return add_object(objects, kind, s);
            value = s.get(s.getSchema().getFields()[0]);  // the objects; what follows is their bytes
        }
        for (const auto element : value.as<capnp::DynamicList>()) {
            add_object(objects, kind, element.as<capnp::DynamicStruct>());
        }
    }
}

std::expected<Side, Failure> read_side(State&& state, std::optional<Instant> relative_to) {
    Side side{state.decoder.header().record.cut, state.decoder.header().epoch, {}, std::move(state.blobs)};
    checkpoint::VectorSink sink;
    if (auto ok = state.decoder.write(sink, relative_to); !ok) return std::unexpected(ok.error());
    const auto layer = checkpoint::Layer::open(sink.bytes);
    if (!layer) return std::unexpected(layer.error());
    for (const auto& words : layer->envelope.frames) {
        capnp::FlatArrayMessageReader message(words, {.traversalLimitInWords = 16 * words.size() + 64});
        add_frame(side.objects, message.getRoot<Frame>());
    }
    return side;
}

std::expected<State, Failure> open(const std::string& argument) {
    const auto named = [&](const Failure& failure) {
        return std::unexpected(Failure{failure.code, argument + ": " + failure.message});
    };
    auto chain = ChainFiles::read(argument);
    if (!chain) return named(chain.error());
    auto state = State::decode(std::move(*chain));
    if (!state) return named(state.error());
    return state;
}

// --- comparing ---

struct Change {
    unsigned kind = 0;
    std::uint32_t slot = 0;
    const Object* before = nullptr;  ///< null: born
    const Object* after = nullptr;   ///< null: gone
};

bool is_equal(const Object& a, const Object& b) { return a.generation == b.generation && a.fields == b.fields; }

std::vector<Change> changes_of(const Side& a, const Side& b) {
    std::vector<Change> changes;
    for (const auto& [key, before] : a.objects) {
        const auto at = b.objects.find(key);
        if (at == b.objects.end()) {
            changes.push_back({key.first, key.second, &before, nullptr});
        } else if (at->second.generation != before.generation) {
            changes.push_back({key.first, key.second, &before, nullptr});
            changes.push_back({key.first, key.second, nullptr, &at->second});
        } else if (!is_equal(before, at->second)) {
            changes.push_back({key.first, key.second, &before, &at->second});
        }
    }
    for (const auto& [key, after] : b.objects) {
        if (!a.objects.contains(key)) changes.push_back({key.first, key.second, nullptr, &after});
    }
    // Of one slot, what went comes before what was born in its place.
    std::ranges::sort(changes, {}, [](const Change& c) { return std::tuple{c.kind, c.slot, c.before == nullptr}; });
    return changes;
}

std::string_view field(const Object& object, std::string_view path) {
    const auto at = std::ranges::find(object.fields, path, &Fields::value_type::first);
    return at == object.fields.end() ? std::string_view() : std::string_view(at->second);
}

/// f(path, before, after) for each field that differs. An element that only one side has cannot be: both are written anew.
template <class F>
void for_each_field(const Change& change, F&& f) {
    for (std::size_t i = 0; i < change.before->fields.size() && i < change.after->fields.size(); ++i) {
        const auto& [path, before] = change.before->fields[i];
        if (before != change.after->fields[i].second) f(path, before, change.after->fields[i].second);
    }
}

constexpr std::pair<const char*, const char*> queues[] = {
    {"receive", "receiveQueue.bytes"}, {"send", "sendQueue.bytes"}, {"outOfOrder", "outOfOrder.bytes"},
    {"datagrams", "payload.length"}};

std::uint64_t bytes_of(const Side& side, std::string_view path) {
    std::uint64_t sum = 0;
    for (const auto& [key, object] : side.objects) {
        const std::string_view value = field(object, path);
        if (!value.empty()) sum += std::stoull(std::string(value));
    }
    return sum;
}

struct BlobChange {
    std::string name{};
    std::optional<std::size_t> before{}, after{};
};
std::vector<BlobChange> blob_changes(const Side& a, const Side& b) {
    std::map<std::string, std::pair<const checkpoint::Blob*, const checkpoint::Blob*>> names;
    for (const auto& blob : a.blobs) names[blob.name].first = &blob;
    for (const auto& blob : b.blobs) names[blob.name].second = &blob;
    std::vector<BlobChange> changes;
    for (const auto& [name, both] : names) {
        const auto& [before, after] = both;
        if (before != nullptr && after != nullptr && before->bytes == after->bytes) continue;
        BlobChange change{.name = name};
        if (before != nullptr) change.before = before->bytes.size();
        if (after != nullptr) change.after = after->bytes.size();
        changes.push_back(change);
    }
    return changes;
}

// --- printing ---

std::string plain(std::string_view json) {
    if (json.size() >= 2 && json.front() == '"') json = json.substr(1, json.size() - 2);
    return json == "null" ? "never" : std::string(json);
}

/// What tells people which object it is.
std::string title(const Change& change) {
    const Object& object = change.after != nullptr ? *change.after : *change.before;
    std::string text(checkpoint::kind_name(static_cast<StateKind>(change.kind)));
    text.append(" ").append(std::to_string(change.slot));
    const auto endpoint = [&](const std::string& name) {
        const std::string_view address = field(object, name + ".address");
        if (address.empty()) return;
        text.append(" [").append(plain(address)).append("]:").append(plain(field(object, name + ".port")));
    };
    endpoint("local"), endpoint("remote");
    for (const char* name : {"address", "prefix"}) {
        if (const auto value = field(object, name); !value.empty()) text.append(" ").append(plain(value));
    }
    return text;
}

/// Queue entries and sent ranges are counted, not shown.
bool is_entry(unsigned kind) { return static_cast<StateKind>(kind) >= StateKind::slice_node; }

void print_text(std::ostream& out, const Side& a, const Side& b, const std::vector<Change>& changes) {
    out << "cut " << a.cut << " -> cut " << b.cut;
    if (a.epoch != b.epoch) out << ", " << a.epoch << " -> " << b.epoch << " restarts: times count from each one's cut";
    out << '\n';
    std::array<std::size_t, 3> entries{};
    for (const Change& change : changes) {
        const std::size_t what = change.before == nullptr ? 0 : change.after == nullptr ? 1 : 2;
        if (is_entry(change.kind)) {
            ++entries[what];
            continue;
        }
        out << "+-~"[what] << ' ' << title(change) << '\n';
        if (what != 2) continue;
        for_each_field(change, [&](const std::string& path, const std::string& before, const std::string& after) {
            out << "    " << path << ": " << plain(before) << " -> " << plain(after) << '\n';
        });
    }
    for (const auto& [name, path] : queues) {
        const auto before = bytes_of(a, path);
        const auto after = bytes_of(b, path);
        if (before != after) out << "bytes queued, " << name << ": " << before << " -> " << after << '\n';
    }
    if (entries != std::array<std::size_t, 3>{}) {
        out << "queue entries: " << entries[0] << " born, " << entries[1] << " gone, " << entries[2] << " changed\n";
    }
    for (const BlobChange& blob : blob_changes(a, b)) {
        std::ostringstream name;
        Json(name).text(blob.name);
        out << "blob " << name.str() << ": " << (blob.before ? std::to_string(*blob.before) : "none") << " -> "
            << (blob.after ? std::to_string(*blob.after) : "none") << " bytes\n";
    }
}

void print_object(std::ostream& out, const Change& change, const Object& object) {
    Json json(out);
    out << "{\"kind\": ";
    json.text(kind_of(change.kind));
    out << ", \"slot\": " << change.slot << ", \"generation\": " << object.generation << ", \"fields\": {";
}

void print_list(std::ostream& out, const char* name, const std::vector<Change>& changes, int what) {
    out << ",\n\"" << name << "\": [";
    const char* separator = "\n  ";
    for (const Change& change : changes) {
        if ((change.before == nullptr ? 0 : change.after == nullptr ? 1 : 2) != what) continue;
        out << separator;
        separator = ",\n  ";
        const Object& object = change.after != nullptr ? *change.after : *change.before;
        print_object(out, change, object);
        const char* comma = "";
        const auto field_of = [&](const std::string& path, const std::string& value) {
            out << comma;
            Json(out).key(path);
            out << value;
            comma = ", ";
        };
        if (what == 2) {
            for_each_field(change, [&](const std::string& path, const std::string& before, const std::string& after) {
                std::string both("[");
                field_of(path, both.append(before).append(", ").append(after).append("]"));
            });
        } else {
            for (const auto& [path, value] : object.fields) field_of(path, value);
        }
        out << "}}";
    }
    out << ']';
}

void print_json(std::ostream& out, const Side& a, const Side& b, const std::vector<Change>& changes) {
    out << "{\n\"cut\": [" << a.cut << ", " << b.cut << "],\n\"epoch\": [" << a.epoch << ", " << b.epoch << ']';
    print_list(out, "born", changes, 0);
    print_list(out, "gone", changes, 1);
    print_list(out, "changed", changes, 2);
    out << ",\n\"bytes\": {";
    const char* comma = "";
    for (const auto& [name, path] : queues) {
        out << comma << '"' << name << "\": [" << bytes_of(a, path) << ", " << bytes_of(b, path) << ']';
        comma = ", ";
    }
    out << "},\n\"blobs\": [";
    comma = "";
    for (const BlobChange& blob : blob_changes(a, b)) {
        out << comma << "{\"name\": ";
        Json(out).text(blob.name);
        const auto size = [](const std::optional<std::size_t>& n) { return n ? std::to_string(*n) : "null"; };
        out << ", \"bytes\": [" << size(blob.before) << ", " << size(blob.after) << "]}";
        comma = ", ";
    }
    out << "]\n}\n";
}

}  // namespace

std::expected<Difference, Failure> diff(const std::string& from, const std::string& to, bool json) {
    auto before = open(from);
    if (!before) return std::unexpected(before.error());
    auto after = open(to);
    if (!after) return std::unexpected(after.error());
    const auto& header = before->decoder.header();
    const bool is_one_clock = header.epoch == after->decoder.header().epoch;
    const Instant origin = header.record.taken;
    const auto a = read_side(std::move(*before), {});
    if (!a) return std::unexpected(a.error());
    const auto b = read_side(std::move(*after), is_one_clock ? std::optional(origin) : std::nullopt);
    if (!b) return std::unexpected(b.error());
    const std::vector<Change> changes = changes_of(*a, *b);
    std::ostringstream out;
    Difference difference;
    difference.is_empty = changes.empty() && blob_changes(*a, *b).empty();
    if (json) {
        print_json(out, *a, *b, changes);
    } else if (!difference.is_empty) {
        print_text(out, *a, *b, changes);
    }
    difference.text = out.str();
    return difference;
}

}  // namespace keepnet::tool
