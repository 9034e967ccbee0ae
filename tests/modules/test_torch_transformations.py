"""What torch does to modules: whatever works on Meta's classes works on ours, with the same results.

A row per transformation. It is tried on Meta's module and on ours with the same weights. Where Meta's works, ours has
to give the same; where Meta's fails, the row says how, and that is asserted too.
"""

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import pytest
import torch
from parity import TINY, assert_close, decoder_inputs, make_pair, randoms, tensors
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

from sam_edu.modules import TracePoint

ENCODER = {"embed_dim": 16, "image_embedding_size": (3, 4), "input_image_size": (48, 64), "mask_in_chans": 4}
INPUTS = tuple(decoder_inputs().values())
TENSORS = INPUTS[:4]
CLICKS = ((randoms(5)(2, 3, 2) * 9 + 20, torch.tensor([[1, 0, -1], [0, 1, 1]])), randoms(6)(2, 4) * 9 + 20, None)
MASKS = (None, None, randoms(7)(2, 1, 12, 16))
WEIGHTED = (nn.Linear, nn.ConvTranspose2d, nn.Conv2d, nn.Embedding)

Call = Callable[..., Any]


def evaluate(module: nn.Module, *inputs: Any) -> Any:
    with torch.no_grad():
        return module(*(inputs or INPUTS))


def children(module: nn.Module, *kinds: type) -> list[tuple[str, Any]]:
    return [(name, child) for name, child in module.named_modules() if isinstance(child, kinds)]


def replace(module: nn.Module, name: str, child: nn.Module) -> None:
    parent, _, key = name.rpartition(".")
    setattr(module.get_submodule(parent), key, child)


def values_of(module: nn.Module) -> dict[str, Tensor]:
    """The parameters as plain tensors."""
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def gradients_of(module: nn.Module, outputs: Any) -> list[Tensor]:
    sum(output.sum() for output in tensors(outputs)).backward()
    return [parameter.grad for parameter in module.parameters() if parameter.grad is not None]


class Adapter(nn.Module):
    """In the place of a layer, without its attributes: the layer and a low-rank part, as LoRA has it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.inside = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(x) + 0.3 * self.inside(0.5 * x)


class Halved(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


# --- Parameters that are no parameters ---


def functional_call(module: nn.Module, *inputs: Any) -> Any:
    return torch.func.functional_call(module, values_of(module), inputs or INPUTS)


def replicas(module: nn.Module, *inputs: Any) -> Any:
    """As `torch.nn.parallel.replicate` makes them for DataParallel; their weights are plain attributes."""
    modules = list(module.modules())
    copies = {id(child): child._replicate_for_data_parallel() for child in modules}
    for child in modules:
        replica = copies[id(child)]
        replica._former_parameters = {}
        for key, inner in child._modules.items():
            setattr(replica, key, copies[id(inner)])
        for key, parameter in child._parameters.items():
            if parameter is not None:
                setattr(replica, key, parameter.detach().clone())
                replica._former_parameters[key] = parameter
    return evaluate(copies[id(module)], *inputs)


def halved_by_parametrizations(module: nn.Module, *inputs: Any) -> Any:
    for child in list(module.modules()):
        for key in list(child._parameters):
            parametrize.register_parametrization(child, key, Halved())
    return evaluate(module, *inputs)


def each_weight(change: Call, *kinds: type) -> Call:
    """Change the weights of all layers of some kinds, then run in evaluation mode."""

    def call(module: nn.Module, *inputs: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            for _, child in children(module, *(kinds or WEIGHTED)):
                torch.manual_seed(0)  # spectral norms start from random vectors
                change(child)
        return evaluate(module.eval(), *inputs)

    return call


def pruned_for_good(module: nn.Module, *inputs: Any) -> Any:
    weights = [(child, "weight") for _, child in children(module, *WEIGHTED)]
    prune.global_unstructured(weights, prune.L1Unstructured, amount=0.3)
    for child, key in weights:
        prune.remove(child, key)
    return evaluate(module, *inputs)


def pruned_norms(module: nn.Module, *inputs: Any) -> Any:
    for child in list(module.modules()):
        if "weight" in child._parameters and child.weight.ndim == 1:
            prune.l1_unstructured(child, "weight", 0.5)
    return evaluate(module, *inputs)


# --- Other modules in the place of ours ---


def adapters(*kinds: type) -> Call:
    def call(module: nn.Module, *inputs: Any) -> Any:
        for name, child in children(module, *kinds):
            replace(module, name, Adapter(child))
        return evaluate(module, *inputs)

    return call


def adapters_around_blocks(module: nn.Module) -> Any:
    for kind in ("LayerNorm2d", "MLP", "MLPBlock"):
        for name, child in list(module.named_modules()):
            if type(child).__name__ == kind:
                replace(module, name, Adapter(child))
    return evaluate(module)


def lazy_linear(module: nn.Module) -> Any:
    for name, child in children(module, nn.Linear):
        replace(module, name, nn.LazyLinear(child.out_features))
    evaluate(module)
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.1, generator=generator)
    return evaluate(module)


def quantised(dtype: torch.dtype) -> Call:
    return lambda module: evaluate(torch.ao.quantization.quantize_dynamic(module, {nn.Linear}, dtype=dtype))


def containers(module: Any) -> Any:
    """Layers that are counted, indexed, sliced and run one by one, as in Meta's plain containers."""
    upscaling, mlps = module.output_upscaling, module.output_hypernetworks_mlps
    assert (len(upscaling), len(mlps)) == (5, 4)
    x = TENSORS[3]
    for layer in upscaling:
        x = layer(x)
    y = upscaling[2:](upscaling[:2](TENSORS[3]))
    z = upscaling[-2](upscaling[0](TENSORS[3]))
    return x, y, upscaling[-1](y), z, [mlp(TENSORS[2]) for mlp in mlps[1:]]


# --- Tracing and exporting ---


def fx(module: nn.Module, inputs: tuple[Any, ...] = INPUTS, **concrete: Any) -> Any:
    traced = torch.fx.symbolic_trace(module, concrete_args=concrete or None)
    return traced(*inputs)


def fx_transformer(module: nn.Module) -> Any:
    traced = torch.fx.symbolic_trace(module.get_submodule("transformer"))
    assert not any(isinstance(child, TracePoint) for child in traced.modules())
    return traced(TENSORS[0], TENSORS[1], TENSORS[2][:1])


class Multimask(nn.Module):
    """A decoder whose inputs are tensors alone."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Any:
        return self.module(*inputs, True)


def jit_trace(module: nn.Module) -> Any:
    traced = torch.jit.trace(Multimask(module), TENSORS)
    # Other numbers of prompt sets and tokens than those that were traced.
    return traced(*list(decoder_inputs(batch=5, tokens=7).values())[:4])


def export(module: nn.Module, strict: bool, **sizes: Any) -> Any:
    names = {"batch": "b", "tokens": "t", "grid": "hw"}
    size = {key: torch.export.Dim(key, min=2, max=64) for name in sizes for key in names[name]}
    grid = {2: size["h"], 3: size["w"]} if "grid" in sizes else None
    sets = {0: size["b"]} if "batch" in sizes else {}
    shapes = {
        "image_embeddings": grid,
        "image_pe": grid,
        "sparse_prompt_embeddings": (sets | ({1: size["t"]} if "tokens" in sizes else {})) or None,
        "dense_prompt_embeddings": (sets | (grid or {})) or None,
        "multimask_output": None,
    }
    program = torch.export.export(module, (), decoder_inputs(), dynamic_shapes=shapes, strict=strict)
    return program.module()(**decoder_inputs(**sizes))


def compiled(module: nn.Module) -> Any:
    torch.compiler.reset()
    return evaluate(torch.compile(module, backend="aot_eager", fullgraph=True))


def make_fx(module: nn.Module) -> Any:
    from torch.fx.experimental.proxy_tensor import make_fx

    return make_fx(Multimask(module))(*TENSORS)(*TENSORS)


# --- torch.func and autograd ---


def vmap_over_inputs(module: nn.Module) -> Any:
    return torch.vmap(Multimask(module))(*(torch.stack([x, x / 2, -x]) for x in TENSORS))


def vmap_over_models(module: nn.Module) -> Any:
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.9)
    parameters, buffers = torch.func.stack_module_state([module, other])  # type: ignore[arg-type]
    base = copy.deepcopy(module).to("meta")
    call = partial(torch.func.functional_call, base, args=INPUTS)
    return torch.vmap(lambda p, b: call((p, b)))(parameters, buffers)


def jvp_of_inputs(module: nn.Module) -> Any:
    return torch.func.jvp(Multimask(module), TENSORS, tuple(map(torch.ones_like, TENSORS)))


def jvp_of_weights(module: nn.Module) -> Any:
    values = values_of(module)
    tangents = {name: 0.1 * value for name, value in values.items()}
    return torch.func.jvp(lambda v: torch.func.functional_call(module, v, INPUTS), (values,), (tangents,))


def forward_ad(module: nn.Module) -> Any:
    from torch.autograd import forward_ad as fwd

    with fwd.dual_level():
        outputs = module(fwd.make_dual(TENSORS[0], torch.ones_like(TENSORS[0])), *INPUTS[1:])
        return [fwd.unpack_dual(output).tangent for output in outputs]


def func_grad(module: nn.Module) -> Any:
    def loss(values: dict[str, Tensor]) -> Tensor:
        masks, iou = torch.func.functional_call(module, values, INPUTS)
        return masks.square().mean() + iou.square().mean()

    return torch.func.grad(loss)(values_of(module))


def gradients_per_prompt_set(module: nn.Module) -> Any:
    def loss(values: dict[str, Tensor], sparse: Tensor, dense: Tensor) -> Tensor:
        inputs = (TENSORS[0], TENSORS[1], sparse[None], dense[None], True)
        return torch.func.functional_call(module, values, inputs)[1].sum()

    return torch.vmap(torch.func.grad(loss), (None, 0, 0))(values_of(module), TENSORS[2], TENSORS[3])


def of_tokens(transform: Call) -> Call:
    def call(module: nn.Module) -> Any:
        return transform(lambda sparse: module(TENSORS[0], TENSORS[1], sparse, TENSORS[3], True)[1].sum(0))(TENSORS[2])

    return call


def hessian(module: nn.Module) -> Any:
    def score(sparse: Tensor) -> Tensor:
        return module(TENSORS[0], TENSORS[1], sparse, TENSORS[3], True)[1].sum()

    return torch.func.hessian(score)(TENSORS[2][:, :1])


def checkpointed(module: nn.Module) -> Any:
    return gradients_of(module, checkpoint(module, *INPUTS, use_reentrant=False))


# --- Where and how values are stored ---


def on_meta(module: nn.Module) -> Any:
    outputs = module.to("meta")(*(x.to("meta") for x in TENSORS), True)
    return [torch.zeros(tuple(output.shape), dtype=output.dtype) for output in outputs]


def to_empty(module: nn.Module) -> Any:
    state = {key: value.clone() for key, value in module.state_dict().items()}
    module = module.to("meta").to_empty(device="cpu")
    module.load_state_dict(state)
    return evaluate(module)


def assigned(module: nn.Module) -> Any:
    state = {key: value.clone() for key, value in module.state_dict().items()}
    module = module.to("meta")
    module.load_state_dict(state, assign=True)
    return evaluate(module)


def saved_whole(module: nn.Module) -> Any:
    stream = io.BytesIO()
    torch.save(module, stream)
    stream.seek(0)
    return evaluate(torch.load(stream, weights_only=False))


def tied(module: Any) -> Any:
    mlps = module.output_hypernetworks_mlps
    for mlp in mlps[1:]:
        mlp.layers[0].weight = mlps[0].layers[0].weight
    module.transformer.layers[1].self_attn = module.transformer.layers[0].self_attn
    return evaluate(copy.deepcopy(module))


def channels_last(module: nn.Module) -> Any:
    inputs = (x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for x in TENSORS)
    return evaluate(module.to(memory_format=torch.channels_last), *inputs, True)  # type: ignore[call-overload]


def autocast(module: nn.Module) -> Any:
    with torch.autocast("cpu", torch.bfloat16):
        return evaluate(module)


def in_dtype(dtype: torch.dtype) -> Call:
    return lambda module: evaluate(module.to(dtype), *(x.to(dtype) for x in TENSORS), True)


def inference_mode(module: nn.Module) -> Any:
    with torch.inference_mode():
        return [output.clone() for output in module(*INPUTS)]


def as_vector(module: nn.Module) -> Any:
    vector = nn.utils.parameters_to_vector(module.parameters())
    nn.utils.vector_to_parameters(0.9 * vector, module.parameters())
    return evaluate(module)


def averaged(module: nn.Module) -> Any:
    average = torch.optim.swa_utils.AveragedModel(module)
    average.update_parameters(module)
    return evaluate(average)


def without_initial_values(module: Any) -> Any:
    return nn.utils.skip_init(type(module), transformer_dim=16, transformer=module.transformer)


# --- Several processes: a group of this one alone ---


@contextmanager
def one_process() -> Iterator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def distributed(call: Call) -> Call:
    def inside(module: nn.Module) -> Any:
        with one_process():
            return [x.detach().clone() for x in tensors(call(module))]

    return inside


def ddp(module: nn.Module) -> Any:
    wrapped = nn.parallel.DistributedDataParallel(module)
    outputs = wrapped(*INPUTS)
    return outputs, gradients_of(wrapped, outputs)


def fully_sharded(module: Any) -> Any:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (1,))
    parts = [child for _, child in children(module, nn.Linear)]
    for part in (*parts, *module.transformer.layers, module.output_upscaling, module):
        fully_shard(part, mesh=mesh)
    outputs = module(*INPUTS)
    return outputs, [gradient.full_tensor() for gradient in gradients_of(module, outputs)]  # type: ignore[operator]


def fsdp(module: nn.Module, use_orig_params: bool) -> Any:
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.fsdp.wrap import ModuleWrapPolicy

    wrapped = FullyShardedDataParallel(
        module,
        auto_wrap_policy=ModuleWrapPolicy({nn.Linear, nn.ConvTranspose2d}),
        device_id=torch.device("cpu"),
        use_orig_params=use_orig_params,
    )
    return evaluate(wrapped)


def tensor_parallel(module: Any) -> Any:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    mesh = init_device_mesh("cpu", (1,))
    for layer in module.transformer.layers:
        parallelize_module(layer.mlp, mesh, {"lin1": ColwiseParallel(), "lin2": RowwiseParallel()})
    return evaluate(module)


# --- The table ---


class Row(NamedTuple):
    """A transformation.

    Attributes:
        call: from a module to tensors.
        metas_error: where Meta's decoder fails, what its error says.
        tolerance: in units of the tolerance for float32; for results that are rounded to fewer digits on the way.
        checked: whether it runs under jaxtyping's checker, which looks at the annotations of every call.
    """

    call: Call
    metas_error: str = ""
    tolerance: float = 1.0
    checked: bool = True


BFLOAT16, QUANTISED = 2.0**16, 4e4

DECODER = {
    "nothing": Row(evaluate),
    "functional_call": Row(functional_call),
    "replicas of DataParallel": Row(replicas),
    "DataParallel": Row(lambda module: evaluate(nn.DataParallel(module))),
    "adapters around Linear": Row(adapters(nn.Linear)),
    "adapters around ConvTranspose2d": Row(adapters(nn.ConvTranspose2d)),
    "adapters around norms and activations": Row(adapters(nn.LayerNorm, nn.GELU, nn.ReLU)),
    "adapters around MLPs and LayerNorm2d": Row(adapters_around_blocks),
    "LazyLinear": Row(lazy_linear),
    "containers": Row(containers),
    "quantize_dynamic, int8": Row(quantised(torch.qint8), tolerance=QUANTISED),
    "quantize_dynamic, float16": Row(quantised(torch.float16)),
    "prune": Row(each_weight(partial(prune.l1_unstructured, name="weight", amount=0.3))),
    "prune, structured": Row(each_weight(partial(prune.ln_structured, name="weight", amount=1, n=2, dim=1))),
    "prune, removed": Row(pruned_for_good),
    "prune, norms": Row(pruned_norms),
    "weight_norm": Row(each_weight(parametrizations.weight_norm)),
    "weight_norm, the old one": Row(each_weight(nn.utils.weight_norm)),
    "spectral_norm": Row(each_weight(parametrizations.spectral_norm)),
    "spectral_norm, the old one": Row(each_weight(nn.utils.spectral_norm)),
    "orthogonal": Row(each_weight(parametrizations.orthogonal, nn.Linear, nn.ConvTranspose2d)),
    "parametrizations of everything": Row(halved_by_parametrizations),
    "fx, all inputs symbols": Row(fx, "cannot be used as inputs to control flow", checked=False),
    "fx": Row(partial(fx, inputs=INPUTS, multimask_output=True), checked=False),
    "fx, other sizes": Row(
        partial(fx, inputs=tuple(decoder_inputs(batch=3, tokens=5, grid=(5, 2)).values()), multimask_output=True),
        checked=False,
    ),
    "fx, transformer": Row(fx_transformer, checked=False),
    "jit.trace, other sizes": Row(jit_trace, checked=False),
    "jit.script": Row(torch.jit.script, "Expected integer literal for index", checked=False),
    "export": Row(partial(export, strict=False), checked=False),
    "export, strict": Row(partial(export, strict=True), checked=False),
    "export, any prompts": Row(partial(export, strict=False, batch=5, tokens=7), checked=False),
    "export, any prompts, strict": Row(partial(export, strict=True, batch=5, tokens=7), checked=False),
    "export, any grid": Row(partial(export, strict=False, grid=(5, 7)), checked=False),
    "compile": Row(compiled, checked=False),
    "make_fx": Row(make_fx, checked=False),
    "vmap over inputs": Row(vmap_over_inputs),
    "vmap over models": Row(vmap_over_models),
    "jvp of inputs": Row(jvp_of_inputs),
    "jvp of weights": Row(jvp_of_weights),
    "forward-mode AD": Row(forward_ad),
    "func.grad": Row(func_grad),
    "gradients per prompt set": Row(gradients_per_prompt_set),
    "jacrev": Row(of_tokens(torch.func.jacrev)),
    "jacfwd": Row(of_tokens(torch.func.jacfwd)),
    "hessian": Row(hessian),
    "functionalize": Row(lambda module: torch.func.functionalize(Multimask(module))(*TENSORS)),
    "gradient checkpointing": Row(checkpointed),
    "meta device": Row(on_meta),
    "to_empty": Row(to_empty),
    "load_state_dict(assign=True)": Row(assigned),
    "deepcopy": Row(lambda module: evaluate(copy.deepcopy(module))),
    "pickle": Row(lambda module: evaluate(pickle.loads(pickle.dumps(module)))),
    "torch.save": Row(saved_whole),
    "share_memory": Row(lambda module: evaluate(module.share_memory())),
    "tied weights": Row(tied),
    "channels_last": Row(channels_last),
    "autocast": Row(autocast, tolerance=BFLOAT16),
    "float64": Row(in_dtype(torch.float64)),
    "float16": Row(in_dtype(torch.float16), tolerance=2.0**13),
    "bfloat16": Row(in_dtype(torch.bfloat16), tolerance=BFLOAT16),
    "inference_mode": Row(inference_mode),
    "parameters_to_vector": Row(as_vector),
    "AveragedModel": Row(averaged),
    "skip_init": Row(without_initial_values, "must support a 'device' arg"),
    "DDP": Row(distributed(ddp)),
    "fully_shard": Row(distributed(fully_sharded)),
    "FSDP, one flat parameter": Row(distributed(partial(fsdp, use_orig_params=False))),
    "FSDP, original parameters": Row(distributed(partial(fsdp, use_orig_params=True))),
    "tensor parallel": Row(distributed(tensor_parallel)),
}

# The same for the prompt encoder, with clicks and boxes, and with a mask.
PROMPT_ENCODER = {
    "functional_call": Row(functional_call),
    "replicas of DataParallel": Row(replicas),
    "adapters around Conv2d": Row(adapters(nn.Conv2d, nn.GELU)),
    "prune": Row(each_weight(partial(prune.l1_unstructured, name="weight", amount=0.3))),
    "prune, norms": Row(pruned_norms),
    "weight_norm": Row(each_weight(parametrizations.weight_norm)),
    "spectral_norm, the old one": Row(each_weight(nn.utils.spectral_norm)),
    "parametrizations of everything": Row(halved_by_parametrizations),
    "deepcopy": Row(lambda module, *inputs: evaluate(copy.deepcopy(module), *inputs)),
}


def compare(row: Row, kind: str, configuration: dict[str, Any], *inputs: Any) -> None:
    ours, theirs = (module.eval() for module in make_pair(kind, **configuration))
    if row.metas_error:
        with pytest.raises(Exception, match=row.metas_error):
            row.call(theirs, *inputs)
        return
    expected, got = list(tensors(row.call(theirs, *inputs))), list(tensors(row.call(ours, *inputs)))
    assert expected
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), i
        if row.tolerance == 1.0:
            assert_close(f"result {i}", a.detach(), b.detach())
        else:
            allowed = row.tolerance * 2e-6 * max(1.0, b.abs().max().item())
            assert (a - b).abs().max() <= allowed, i
    if kind == "MaskDecoder" and row.call is not on_meta:
        assert any(tensor.any() for tensor in expected), "nothing to compare"


def rows(table: dict[str, Row]) -> list[Any]:
    return [
        pytest.param(row, id=name, marks=() if row.checked else pytest.mark.no_shape_check)
        for name, row in table.items()
    ]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("row", rows(DECODER))
def test_mask_decoder(row: Row) -> None:
    compare(row, "MaskDecoder", TINY)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("inputs", [CLICKS, MASKS], ids=["clicks and boxes", "masks"])
@pytest.mark.parametrize("row", rows(PROMPT_ENCODER))
def test_prompt_encoder(row: Row, inputs: tuple[Any, ...]) -> None:
    compare(row, "PromptEncoder", ENCODER, *inputs)


@pytest.mark.no_shape_check
def test_a_module_that_fx_traced_still_checks_its_inputs() -> None:
    ours, _ = make_pair("MaskDecoder", **TINY)
    traced = torch.fx.symbolic_trace(ours, concrete_args={"multimask_output": True})
    wrong = decoder_inputs() | {"image_pe": torch.zeros(3, 16, 3, 4)}
    with pytest.raises(ValueError, match=r"image_pe: expected batch 1 \(shared\) or 2 .*, got 3"):
        traced(*wrong.values())
    wrong = decoder_inputs() | {"dense_prompt_embeddings": torch.zeros(2, 16, 9, 4)}
    with pytest.raises(ValueError, match=r"dense_prompt_embeddings: expected shape \(prompt sets, 16, 3, 4\)"):
        traced(*wrong.values())
