from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proofloop_verifier import merkle, tiles
from proofloop_verifier.merkle import leaf_hash, root_of
from proofloop_verifier.tiles import ENTRIES, MAX_ENTRY_BYTES, Tile, TileError

LARGEST = 66_000
LEAVES = [leaf_hash(b"%d" % number) for number in range(LARGEST)]

tiles_ = st.builds(Tile, st.integers(-1, 63), st.integers(0, 2**55), st.integers(1, 256))


class TestPath:
    @pytest.mark.parametrize(
        ("tile", "path"),
        [
            # The example of C2SP tlog-tiles.
            (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
            (Tile(ENTRIES, 1_234_067), "tile/entries/x001/x234/067"),
            (Tile(0, 273, 112), "tile/0/273.p/112"),
            (Tile(1, 999), "tile/1/999"),
            (Tile(1, 1000), "tile/1/x001/000"),
            (Tile(63, 0, 255), "tile/63/000.p/255"),
            (Tile(ENTRIES, 7, 1), "tile/entries/007.p/1"),
        ],
    )
    def test_is_that_of_the_specification(self, tile, path):
        assert tile.path == path
        assert Tile.parse(path) == tile

    @given(tiles_)
    def test_reads_back_equal(self, tile):
        assert Tile.parse(tile.path) == tile

    @pytest.mark.parametrize(
        "path",
        [
            *("tile/0/1", "tile/0/0001", "tile/00/001", "tile/64/001", "tile/-1/001", "tile/0/x000/001"),
            *("tile/0/001/002", "tile/0/x001/x002", "tile/0/001.p/0", "tile/0/001.p/01", "tile/0/001.p/256"),
            *("tile/0/001.p", "/tile/0/001", "tile/0/001/", "tile/0/001\n", "tile/x/001", "checkpoint", ""),
            "tile/0/../001",
        ],
    )
    def test_in_any_other_form_is_refused(self, path):
        with pytest.raises(TileError, match="path of a tile"):
            Tile.parse(path)


class TestTilesOfATree:
    def test_of_70000_leaves_are_those_that_the_specification_counts(self):
        found = list(tiles.tiles_of(70_000))
        assert sum(tile.level == 0 and not tile.is_partial for tile in found) == 273
        assert [tile for tile in found if tile.level > 0 or (tile.level == 0 and tile.is_partial)] == [
            Tile(1, 0),
            Tile(0, 273, 112),
            Tile(1, 1, 17),
            Tile(2, 0, 1),
        ]
        assert [tile._replace(level=0) for tile in found if tile.level == ENTRIES] == [
            tile for tile in found if tile.level == 0
        ]

    def test_of_256_leaves_are_a_full_one_and_one_of_width_1_above(self):
        assert list(tiles.tiles_of(256)) == [Tile(ENTRIES, 0), Tile(0, 0), Tile(1, 0, 1)]

    def test_of_no_leaves_are_none(self):
        assert list(tiles.tiles_of(0)) == []

    @given(st.integers(0, LARGEST), st.integers(0, LARGEST))
    def test_that_fill_as_it_grows_are_those_that_it_did_not_have_full(self, one, other):
        old, new = sorted((one, other))
        filled = {Tile(level, at) for level in (ENTRIES, *tiles.levels(new)) for at in tiles.filled(level, old, new)}
        assert filled == {tile for tile in set(tiles.tiles_of(new)) - set(tiles.tiles_of(old)) if not tile.is_partial}


class TestContents:
    @given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
    def test_of_a_bundle_read_back_equal(self, entries):
        data = tiles.dump_entries(entries)
        assert tiles.parse_entries(Tile(ENTRIES, 0, len(entries)), data) == entries

    def test_of_a_bundle_are_lengths_of_two_bytes_and_entries(self):
        assert tiles.dump_entries([b"ab", b"", b"x" * 258]) == b"\0\2ab" + b"\0\0" + b"\1\2" + b"x" * 258

    @given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=256))
    def test_of_a_tile_read_back_equal(self, hashes):
        assert tiles.parse_hashes(Tile(0, 0, len(hashes)), tiles.dump_hashes(hashes)) == hashes

    def test_of_the_longest_entry_fit_and_longer_ones_are_refused(self):
        longest = b"x" * MAX_ENTRY_BYTES
        assert tiles.parse_entries(Tile(ENTRIES, 0, 1), tiles.dump_entries([longest])) == [longest]
        with pytest.raises(TileError, match="65536 bytes"):
            tiles.dump_entries([longest + b"x"])

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "ends within the entry 0 of 2"),
            (b"\0", "ends within the entry 0 of 2"),
            (b"\0\3abc\0", "ends within the entry 1 of 2"),
            (b"\0\3abc\0\3ab", "ends within the entry 1 of 2"),
            (b"\0\3abc\0\0\0", "1 bytes follow the last of the 2 entries"),
        ],
    )
    def test_of_a_bundle_that_is_cut_or_goes_on_are_refused(self, data, reason):
        with pytest.raises(TileError, match=reason):
            tiles.parse_entries(Tile(ENTRIES, 0, 2), data)

    @pytest.mark.parametrize("length", [0, 63, 65, 96])
    def test_of_a_tile_of_another_length_are_refused(self, length):
        with pytest.raises(TileError, match=f"has 64 bytes, not {length}"):
            tiles.parse_hashes(Tile(0, 0, 2), bytes(length))


@cache
def hashes_of(tile: Tile) -> list[bytes]:
    """The hashes of a tile, computed from the leaves by its definition in the specification."""
    below = 256**tile.level
    begins = [(tile.position * 256 + number) * below for number in range(tile.width)]
    return [root_of(LEAVES[begin : begin + below]) for begin in begins]


@settings(max_examples=30)
@given(st.data(), st.sampled_from([1, 255, 256, 257, 65_535, 65_536, 65_537, LARGEST]) | st.integers(1, LARGEST))
def test_any_proof_can_be_computed_from_tiles(data, size):
    read: list[Tile] = []

    def hashes(tile: Tile) -> list[bytes]:
        read.append(tile)
        return hashes_of(tile)

    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root, old_root = root_of(LEAVES[:size]), root_of(LEAVES[:old])
    roots = tiles.subtree_roots(merkle.inclusion_subtrees(index, size), size, hashes)
    merkle.verify_inclusion(index, size, LEAVES[index], merkle.inclusion_proof(index, size, roots), root)
    roots = tiles.subtree_roots(merkle.consistency_subtrees(old, size), size, hashes)
    merkle.verify_consistency(old, size, old_root, root, merkle.consistency_proof(old, size, roots))
    assert set(read) <= set(tiles.tiles_of(size))
