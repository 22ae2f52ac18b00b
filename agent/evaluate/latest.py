"""A version's policy, for judging it outside the serving path."""

from agent.errors import Permanent
from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION, same_ground
from agent.sections import PolicySettings
from agent.weights.folder import FolderRegistry
from agent.weights.store import AdapterStore
from feedback.version_records import Manifest


def newest_policy(store: AdapterStore, settings: PolicySettings) -> Policy:
    """Return the policy of the newest version that a store's own registry knows.

    Raises:
        Permanent: there is none, or as `policy_of`. BadWeights, Transient: as `policy_of`.
        Corrupt: its manifest cannot be read.
    """
    return policy_of(FolderRegistry(store.files).newest(), store, settings)


def policy_of(manifest: Manifest, store: AdapterStore, settings: PolicySettings) -> Policy:
    """Return the policy of a version, its file checked against the manifest.

    Raises:
        Permanent: it stands on another base model or another prompt than the settings'.
        BadWeights: its file is not what the manifest says.
        Transient: the store gave no answer.
    """
    adapter = store.load(manifest)
    policy = Policy.load(settings)
    if not same_ground(manifest.base_model, manifest.prompt_version, policy.base_model):
        theirs = f"{manifest.base_model} and prompt {manifest.prompt_version}"
        raise Permanent(
            f"version {manifest.version} stands on {theirs}; here run {policy.base_model} and prompt "
            f"{PROMPT_VERSION}: set policy.model, or train anew"
        )
    policy.load_adapter(adapter, manifest.version)
    return policy
