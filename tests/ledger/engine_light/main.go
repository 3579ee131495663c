// Writes vectors/engine_light.json: light blocks as CometBFT's own types make, sign and print them, and what its own
// light client says of each step from one to another. Keys, times and therefore every byte are always the same.
//
//	go mod init cases && go get github.com/cometbft/cometbft@v0.40.0 && go mod tidy && go run . > engine_light.json
//
// in a copy of this folder. All keys are made up.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/crypto/mldsa65"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	cmtmath "github.com/cometbft/cometbft/libs/math"
	"github.com/cometbft/cometbft/light"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	coretypes "github.com/cometbft/cometbft/rpc/core/types"
	"github.com/cometbft/cometbft/types"
)

const chainID = "cl-00112233445566778899aabbccddeeff"

var start = time.Date(2026, 9, 21, 14, 0, 0, 123456789, time.UTC)

type signed struct {
	header *types.SignedHeader
	set    *types.ValidatorSet
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// A name beginning with m has an ML-DSA-65 key, any other an Ed25519 key.
func key(name string) crypto.PrivKey {
	if strings.HasPrefix(name, "m") {
		made, err := mldsa65.GenPrivKeyFromSeed(digest(name))
		must(err)
		return made
	}
	return ed25519.GenPrivKeyFromSecret([]byte(name))
}

var owners = map[string]string{}

// "m0:10 e1:7" is a set of two with their weights.
func set(text string) *types.ValidatorSet {
	var members []*types.Validator
	for _, word := range strings.Fields(text) {
		var name string
		var power int64
		_, err := fmt.Sscanf(strings.Replace(word, ":", " ", 1), "%s %d", &name, &power)
		must(err)
		public := key(name).PubKey()
		owners[string(public.Address())] = name
		members = append(members, types.NewValidator(public, power))
	}
	return types.NewValidatorSet(members)
}

// How a validator votes: by default for the block; "absent", "nil", or "wrong" (a signature of another chain).
func sign(header types.Header, members *types.ValidatorSet, votes map[string]string) signed {
	id := types.BlockID{Hash: header.Hash(), PartSetHeader: types.PartSetHeader{Total: 3, Hash: digest("parts" + header.ChainID + fmt.Sprint(header.Height))}}
	commit := &types.Commit{Height: header.Height, Round: int32(header.Height % 3), BlockID: id}
	for index, member := range members.Validators {
		name := owners[string(member.Address)]
		if votes[name] == "absent" {
			commit.Signatures = append(commit.Signatures, types.NewCommitSigAbsent())
			continue
		}
		vote := &types.Vote{
			Type: cmtproto.PrecommitType, Height: header.Height, Round: commit.Round, BlockID: id,
			Timestamp:        header.Time.Add(time.Duration(index+1) * 987654321),
			ValidatorAddress: member.Address, ValidatorIndex: int32(index),
		}
		flag := types.BlockIDFlagCommit
		if votes[name] == "nil" {
			vote.BlockID, flag = types.BlockID{}, types.BlockIDFlagNil
		}
		chain := header.ChainID
		if votes[name] == "wrong" {
			chain += "x"
		}
		signature, err := key(name).Sign(types.VoteSignBytes(chain, vote.ToProto()))
		must(err)
		commit.Signatures = append(commit.Signatures, types.CommitSig{
			BlockIDFlag: flag, ValidatorAddress: member.Address, Timestamp: vote.Timestamp, Signature: signature,
		})
	}
	return signed{&types.SignedHeader{Header: &header, Commit: commit}, members}
}

func makeHeader(height int64, last types.BlockID, members, next *types.ValidatorSet) types.Header {
	return types.Header{
		Version: cmtversion.Consensus{Block: 11, App: 1}, ChainID: chainID, Height: height,
		Time: start.Add(time.Duration(height) * 3 * time.Hour), LastBlockID: last,
		LastCommitHash: digest("commit"), DataHash: digest("data"),
		ValidatorsHash: members.Hash(), NextValidatorsHash: next.Hash(),
		ConsensusHash: digest("consensus"), AppHash: digest(fmt.Sprint("app", height)),
		LastResultsHash: digest("results"), EvidenceHash: digest("evidence"),
		ProposerAddress: members.Validators[0].Address,
	}
}

func main() {
	sets := []*types.ValidatorSet{
		set("m0:10 m1:10 e2:10 e3:10"), set("m0:10 m1:10 e2:10 e3:10"), set("m0:10 e2:10 e3:10 e4:10"),
		set("e2:10 e4:10 e5:10 e6:10"), set("e2:10 e4:10 e5:10 e6:10"), set("e2:5 e6:9 e7:11 m1:15"),
		set("e7:20 e8:20 e9:300"), set("e2:10 e4:10 e5:10 e6:10"),
	}
	votes := []map[string]string{
		{}, {"e3": "absent"}, {}, {"e5": "nil"}, {}, {"e2": "absent"}, {"e8": "nil"}, {},
	}
	blocks := map[string]signed{}
	var names []string
	add := func(name string, block signed) { blocks[name] = block; names = append(names, name) }
	last := types.BlockID{}
	var at4 types.Header
	for index := range len(sets) - 1 {
		header := makeHeader(int64(index+1), last, sets[index], sets[index+1])
		if index == 3 {
			at4 = header
		}
		made := sign(header, sets[index], votes[index])
		last = made.header.Commit.BlockID
		add(fmt.Sprint("block-", index+1), made)
	}
	// Block 5 again, each time with something else wrong with it.
	base, members, next := makeHeader(5, blocks["block-4"].header.Commit.BlockID, sets[4], sets[5]), sets[4], sets[5]
	add("one-missing", sign(base, members, map[string]string{"e2": "absent"}))
	add("two-missing", sign(base, members, map[string]string{"e2": "absent", "e5": "absent"}))
	add("two-nil", sign(base, members, map[string]string{"e4": "nil", "e6": "nil"}))
	add("first-wrong", sign(base, members, map[string]string{owners[string(members.Validators[0].Address)]: "wrong"}))
	add("all-absent", sign(base, members, map[string]string{"e2": "absent", "e4": "absent", "e5": "absent", "e6": "absent"}))
	early := base
	early.Time = at4.Time
	add("no-later-than-block-4", sign(early, members, nil))
	stranger := base
	stranger.ChainID = "cl-ffffffffffffffffffffffffffffffff"
	add("other-chain", sign(stranger, members, nil))
	altered := sign(base, members, nil)
	copied := *altered.header.Header
	copied.AppHash = digest("another")
	altered.header.Header = &copied
	add("app-hash-altered", altered)
	swapped := sign(base, members, nil)
	swapped.set = set("e2:10 e4:10 e5:10 e7:10")
	add("set-swapped", swapped)
	inflated := sign(base, members, map[string]string{"e4": "absent", "e5": "absent"})
	inflated.set = set("e2:1000 e4:10 e5:10 e6:10")
	add("weight-inflated", inflated)
	foreign := makeHeader(5, base.LastBlockID, next, next)
	add("not-announced", sign(foreign, next, nil))
	higher := sign(base, members, nil)
	higher.header.Commit.Height = 6
	add("commit-of-another-height", higher)
	round := sign(base, members, nil)
	round.header.Commit.Round++
	add("commit-of-another-round", round)

	type printed struct {
		Commit     json.RawMessage `json:"commit"`
		Hash       string          `json:"hash"`
		Validators json.RawMessage `json:"validators"`
	}
	type verdict struct {
		Trusted string `json:"trusted"`
		Block   string `json:"block"`
		Now     string `json:"now"`
		Holds   bool   `json:"holds"`
		Says    string `json:"says"`
	}
	out := struct {
		Format string             `json:"format"`
		Chain  string             `json:"chain"`
		Blocks map[string]printed `json:"blocks"`
		Cases  []verdict          `json:"cases"`
	}{Format: "careledger/vectors/engine-light/1", Chain: chainID, Blocks: map[string]printed{}}
	for name, block := range blocks {
		commit, err := cmtjson.Marshal(coretypes.ResultCommit{SignedHeader: *block.header, CanonicalCommit: true})
		must(err)
		count := len(block.set.Validators)
		members, err := cmtjson.Marshal(coretypes.ResultValidators{BlockHeight: block.header.Height, Validators: block.set.Validators, Count: count, Total: count})
		must(err)
		out.Blocks[name] = printed{commit, block.header.Hash().String(), members}
	}
	judge := func(from, to string, now time.Time) {
		trusted, block := blocks[from], blocks[to]
		err := light.Verify(trusted.header, trusted.set, block.header, block.set, 14*24*time.Hour, now, 10*time.Second, cmtmath.Fraction{Numerator: 1, Denominator: 3})
		says := ""
		if err != nil {
			says, _, _ = strings.Cut(err.Error(), " (")
		}
		out.Cases = append(out.Cases, verdict{from, to, fmt.Sprint(now.UnixNano()), err == nil, says})
	}
	now := start.Add(24 * time.Hour)
	for _, from := range names[:7] {
		for _, to := range names {
			if blocks[to].header.Height > blocks[from].header.Height {
				judge(from, to, now)
			}
		}
	}
	expiry := blocks["block-1"].header.Time.Add(14 * 24 * time.Hour)
	judge("block-1", "block-2", expiry.Add(-1))
	judge("block-1", "block-2", expiry)
	second := blocks["block-2"].header.Time
	judge("block-1", "block-2", second.Add(-10*time.Second+1))
	judge("block-1", "block-2", second.Add(-10*time.Second))
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", " ")
	must(encoder.Encode(out))
}
