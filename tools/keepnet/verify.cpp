#include <algorithm>
#include <filesystem>
#include <utility>

#include "checkpoint/layer_reader.hpp"
#include "commands.hpp"
#include "files.hpp"

namespace keepnet::tool {
namespace {

using checkpoint::Failure;
using checkpoint::Layer;

struct Nothing {
    template <class Reader, class T, class M>
    void object(Reader&, std::type_identity<T>, StateKind, M, ByteView) {}
    void freed(StateKind, std::uint32_t) {}
    template <class Reader>
    void buffer(Reader&, std::uint32_t, std::uint16_t) {}
    template <class Reader>
    void blob(Reader&, checkpoint::schema::Blob::Reader) {}
};

/// An increment without what it follows: its checksum, its frames and their order.
std::expected<std::string, Failure> verify_increment(const Layer& layer) {
    Nothing nothing;
    if (auto ok = checkpoint::LayerReader(layer, nothing).run(); !ok) return std::unexpected(ok.error());
    return "an increment of cut " + std::to_string(layer.header.record.cut) + " on cut " +
           std::to_string(layer.header.record.since) + ", looked at without its base";
}

std::expected<std::string, Failure> verify_chain(ChainFiles chain) {
    if (chain.files.size() == 1) {
        const auto layer = Layer::open(chain.files.front());
        if (!layer) return std::unexpected(layer.error());
        if (layer->is_increment()) return verify_increment(*layer);
    }
    const auto increments = chain.files.size() - 1;
    const auto state = State::decode(std::move(chain));
    if (!state) return std::unexpected(state.error());
    const World& w = state->core->world;
    return "cut " + std::to_string(state->decoder.header().record.cut) +
           (increments == 0 ? std::string() : " from a base and " + std::to_string(increments) +
                                                  (increments == 1 ? " increment" : " increments")) +
           ", " + std::to_string(w.connections.in_use()) + " connections";
}

std::expected<std::string, Failure> verify_one(const std::string& argument) {
    if (is_journal(argument)) return verify_journal(argument);
    auto chain = ChainFiles::read(argument);
    return chain ? verify_chain(std::move(*chain)) : std::unexpected(chain.error());
}

/// A state's directory may hold journals beside its snapshot.
std::vector<std::string> journals_in(const std::string& directory) {
    std::vector<std::string> found;
    std::error_code error;
    for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
        std::error_code unknown;
        const std::string path = at->path().string();
        if (at->is_regular_file(unknown) && is_journal(path)) found.push_back(path);
    }
    std::ranges::sort(found);
    return found;
}

}  // namespace

Judgement verify(const std::vector<std::string>& arguments) {
    Judgement judgement;
    std::vector<std::string> all;
    for (const std::string& argument : arguments) {
        all.push_back(argument);
        const auto journals = journals_in(argument);
        all.insert(all.end(), journals.begin(), journals.end());
    }
    for (const std::string& argument : all) {
        const auto said = verify_one(argument);
        judgement.text += argument + ": " + (said ? "good: " + *said : "BAD: " + said.error().message) + "\n";
        judgement.is_good = judgement.is_good && said.has_value();
    }
    return judgement;
}

}  // namespace keepnet::tool
