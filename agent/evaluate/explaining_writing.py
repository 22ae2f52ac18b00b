"""What each version of the policy writes for one query: the model is loaded once, the adapters change."""

from collections.abc import Callable, Mapping

from agent.errors import BadWeights, Transient
from agent.policy.model import Policy
from agent.policy.prompt import PROMPT_VERSION, Prompt, same_ground
from agent.settings import Settings
from agent.weights.store import AdapterStore, State
from feedback.records import Rewrite
from feedback.version_records import Manifest


def written(
    settings: Settings,
    manifests: Mapping[int, Manifest | None],
    prompt: Prompt,
    say: Callable[[str], object] = lambda _: None,
) -> dict[int, Rewrite | str]:
    """Return the likeliest rewrite of each version, or why it writes none; None: the base model.

    As a replica of the gateway writes it, so that it is what a live request would be answered with.

    Raises Permanent where there is no such model, Corrupt where its file is damaged.
    """
    policy = Policy.load(settings.policy)
    base, store = policy.adapter_state(), AdapterStore(settings.weights_dir)
    told: dict[int, Rewrite | str] = {}
    for number, manifest in manifests.items():
        say(f"version {number} writes" if number else "the base model writes")
        try:
            state = base if manifest is None else _state(manifest, policy, store)
            policy.load_adapter(state, number)
        except (BadWeights, Transient) as error:
            told[number] = str(error)
            continue
        ((told[number],),) = policy.sample([prompt], n=1, greedy=True)
    return told


def _state(manifest: Manifest, policy: Policy, store: AdapterStore) -> State:
    if not same_ground(manifest.base_model, manifest.prompt_version, policy.base_model):
        theirs = f"{manifest.base_model} with prompt {manifest.prompt_version}"
        raise BadWeights(f"stands on {theirs}, not on {policy.base_model} with prompt {PROMPT_VERSION}")
    return store.load(manifest)
