"""Functions and classes: right answers of several styles pass, and wrong ones that no list of mistakes holds fail."""

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exercise_cases import EXERCISES, TABLES, refusal, with_method
from torch import nn

from sam_edu import MLP, Attention, PromptEncoder, TwoWayAttentionBlock, TwoWayTransformer
from sam_edu.exercises.solutions import hypernetwork as hypernetwork_solutions
from sam_edu.exercises.solutions import logits as logits_solutions
from sam_edu.exercises.solutions import make_it_fast as fast_solutions
from sam_edu.exercises.solutions import mask_decoder as decoder_solutions
from sam_edu.exercises.solutions import mlp as mlp_solutions
from sam_edu.exercises.solutions import prompts as prompts_solutions
from sam_edu.exercises.solutions import two_way_block as block_solutions
from sam_edu.exercises.solutions import two_way_transformer as transformer_solutions
from sam_edu.exercises.solutions import upscaling as upscaling_solutions

BY_NUMBER = {exercise.name.split()[0]: exercise for exercise in EXERCISES}
CLASSES = {
    "01.2": (MLP, "forward"),
    "02.2": (Attention, "forward"),
    "03.2": (PromptEncoder, "_embed_points"),
    "04.2": (TwoWayAttentionBlock, "forward"),
    "05.2": (TwoWayTransformer, "forward"),
}
"""The exercises in which a method is written, with its class and name."""
TRAINED = {*CLASSES, "06.2", "07.2", "08.2"}
"""The exercises whose answer is a part of the decoder, so that gradients have to flow through it."""


def method_of(number):
    base, name = CLASSES[number]
    return getattr(base, name)


def answer_of(number, function):
    """An answer: the function, or the class with this method."""
    if number not in CLASSES:
        return function
    base, name = CLASSES[number]
    return with_method(base, function, name)


def solution_of(number):
    """The right function or method."""
    return method_of(number) if number in CLASSES else BY_NUMBER[number].solution


def on_results(change):
    """A change of each tensor that a function returns."""

    def changed(function):
        def answer(*inputs, **named):
            results = function(*inputs, **named)
            return tuple(map(change, results)) if isinstance(results, tuple) else change(results)

        return answer

    return changed


FUNCTIONS = [exercise.name.split()[0] for exercise in EXERCISES if exercise not in TABLES]
WITH_TENSORS = [number for number in FUNCTIONS if number != "01.3"]


# --- Right answers that every exercise takes ---

ANY_TYPE = {
    "float64": on_results(lambda x: x.double()),
    "another memory layout": on_results(lambda x: x.mT.contiguous().mT if x.ndim > 1 else x),
    "a parameter": on_results(lambda x: x if x.requires_grad else nn.Parameter(x)),
    "bfloat16": on_results(lambda x: x.bfloat16()),
}
NO_GRADIENT = {
    "an array": on_results(lambda x: x.detach().numpy()),
    "nested lists": on_results(lambda x: x.tolist()),
    "detached": on_results(lambda x: x.detach()),
}
STYLES = [(number, ANY_TYPE, style) for number in WITH_TENSORS for style in ANY_TYPE if style != "bfloat16"]
STYLES += [(number, ANY_TYPE, "bfloat16") for number in WITH_TENSORS if number not in TRAINED]
STYLES += [(number, NO_GRADIENT, style) for number in WITH_TENSORS if number not in TRAINED for style in NO_GRADIENT]


@pytest.mark.parametrize(
    ("number", "styles", "style"), STYLES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_values_count_and_not_types(number, styles, style, capsys):
    BY_NUMBER[number](answer_of(number, styles[style](solution_of(number))))
    assert capsys.readouterr().out.endswith(": passed\n")


# --- Right answers, each in its own style ---


class FunctionalMLP(mlp_solutions.Solution):
    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = F.linear(x, layer.weight, layer.bias)
            x = x.clamp(min=0) if i + 1 < len(self.layers) else x
        return 1 / (1 + (-x).exp()) if self.sigmoid_output else x


class SequentialMLP(mlp_solutions.Solution):
    def __init__(self, a, b, c, n, sigmoid_output=False):
        super().__init__(a, b, c, n, sigmoid_output)
        self.layers = nn.Sequential(*self.layers)


def einsum_mlp(self, x):
    *hidden, last = self.layers
    for layer in hidden:
        x = torch.maximum(torch.einsum("...i,oi->...o", x, layer.weight) + layer.bias, torch.zeros(()))
    x = torch.einsum("...i,oi->...o", x, last.weight) + last.bias
    return x.sigmoid() if self.sigmoid_output else x


def by_evaluation(block):
    line = nn.Linear(block.lin1.in_features, block.lin2.out_features)
    with torch.no_grad():
        zero = block.lin2(block.lin1(torch.zeros(1, block.lin1.in_features)))
        line.bias.copy_(zero[0])
        line.weight.copy_((block.lin2(block.lin1(torch.eye(block.lin1.in_features))) - zero).T)
    return line


def in_float64(block):
    line = nn.Linear(block.lin1.in_features, block.lin2.out_features).double()
    line.weight.data = block.lin2.weight.data.double() @ block.lin1.weight.data.double()
    line.bias.data = block.lin2(block.lin1.bias).data.double()
    return line.requires_grad_(False)


def by_einsum(block):
    line = nn.Linear(block.lin1.in_features, block.lin2.out_features)
    line.weight = nn.Parameter(torch.einsum("oh,hi->oi", block.lin2.weight, block.lin1.weight))
    line.bias = nn.Parameter(F.linear(block.lin1.bias, block.lin2.weight, block.lin2.bias))
    return line


def heads_of(self, x, layer):
    return layer(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def by_sdpa(self, q, k, v):
    inputs = (heads_of(self, *pair) for pair in ((q, self.q_proj), (k, self.k_proj), (v, self.v_proj)))
    return self.out_proj(F.scaled_dot_product_attention(*inputs).transpose(1, 2).flatten(2))


def attention_by_einsum(self, q, k, v):
    split = (self.num_heads, self.internal_dim // self.num_heads)
    q, k, v = (x.unflatten(-1, split) for x in (self.q_proj(q), self.k_proj(k), self.v_proj(v)))
    scores = torch.einsum("bqhc,bkhc->bhqk", q, k) * split[1] ** -0.5
    return self.out_proj(torch.einsum("bhqk,bkhc->bqhc", scores.softmax(-1), v).flatten(2))


def head_by_head(self, q, k, v):
    width = self.internal_dim // self.num_heads
    q, k, v = self.q_proj(q), self.k_proj(k), self.v_proj(v)
    outputs = []
    for i in range(self.num_heads):
        a, b, c = (x[..., i * width : (i + 1) * width] for x in (q, k, v))
        scores = torch.bmm(a, b.transpose(1, 2)) / math.sqrt(width)
        weights = (scores - scores.amax(-1, keepdim=True)).exp()
        outputs.append(torch.bmm(weights / weights.sum(-1, keepdim=True), c))
    return self.out_proj(torch.cat(outputs, dim=-1))


def click_by_click(self, points, labels, pad):
    height, width = self.input_image_size
    tokens = []
    for own_points, own_labels in zip(points, labels, strict=True):
        row = []
        for (x, y), label in zip(own_points, own_labels.tolist(), strict=True):
            position = torch.stack([2 * (x + 0.5) / width - 1, 2 * (y + 0.5) / height - 1])
            angles = 2 * math.pi * position @ self.pe_layer.positional_encoding_gaussian_matrix
            encoding = torch.cat([angles.sin(), angles.cos()])
            if label == -1:
                encoding = self.not_a_point_embed.weight[0]
            elif label in (0, 1):
                encoding = encoding + self.point_embeddings[int(label)].weight[0]
            row.append(encoding)
        tokens.append(torch.stack(row + [self.not_a_point_embed.weight[0]] * pad))
    return torch.stack(tokens)


def with_index_puts(self, points, labels, pad):
    if pad:
        points = torch.cat([points, torch.zeros(len(points), 1, 2)], 1)
        labels = torch.cat([labels, -torch.ones(len(labels), 1)], 1)
    size = torch.tensor(self.input_image_size[::-1])
    positions = 2 * ((points + 0.5) / size) - 1
    angles = math.tau * torch.einsum("bnc,cf->bnf", positions, self.pe_layer.positional_encoding_gaussian_matrix)
    encoding = torch.cat((torch.sin(angles), torch.cos(angles)), -1)
    encoding[labels == -1] = 0.0
    for label, embedding in (
        (-1, self.not_a_point_embed),
        (0, self.point_embeddings[0]),
        (1, self.point_embeddings[1]),
    ):
        encoding[labels == label] += embedding.weight
    return encoding


def by_atan2(encodings, matrix, shift):
    sine, cosine = encodings.chunk(2, dim=1)
    angles = torch.atan2(sine, cosine) + (4 * math.pi * shift @ matrix)[:, None, None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def by_complex_numbers(encodings, matrix, shift):
    half = matrix.shape[1]
    turned = torch.complex(encodings[:, half:], encodings[:, :half])
    turned = turned * torch.exp(1j * 2 * math.pi * (2 * (shift @ matrix)))[None, :, None, None]
    return torch.cat([turned.imag, turned.real], dim=1)


def by_rotation_matrices(encodings, matrix, shift):
    half, result = matrix.shape[1], encodings.clone()
    for i in range(half):
        b = float(4 * math.pi * (shift[0] * matrix[0, i] + shift[1] * matrix[1, i]))
        result[:, i] = math.cos(b) * encodings[:, i] + math.sin(b) * encodings[:, half + i]
        result[:, half + i] = math.cos(b) * encodings[:, half + i] - math.sin(b) * encodings[:, i]
    return result


def block_by_functions(self, queries, keys, query_pe, key_pe):
    def norm(x, layer):
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
        return (x - mean) / (variance + layer.eps).sqrt() * layer.weight + layer.bias

    add = 0 if self.skip_first_layer_pe else 1
    q = queries + add * query_pe
    queries = norm(add * queries + self.self_attn(q=q, k=q, v=queries), self.norm1)
    q, k = queries + query_pe, keys + key_pe
    queries = norm(queries + self.cross_attn_token_to_image(q=q, k=k, v=keys), self.norm2)
    queries = norm(queries + self.mlp(queries), self.norm3)
    attended = self.cross_attn_image_to_token(q=k, k=queries + query_pe, v=queries)
    return [queries, norm(keys + attended, self.norm4)]


def less_the_bias(attention, v, encoding):
    added = attention.v_proj(encoding) - attention.v_proj.bias
    return v + added.reshape(*added.shape[:2], attention.num_heads, -1).permute(0, 2, 1, 3)


def values_by_einsum(attention, v, encoding):
    weight = attention.v_proj.weight.unflatten(0, (attention.num_heads, -1))
    return v + torch.einsum("bkc,hdc->bhkd", encoding, weight)


def less_the_projected_zero(attention, v, encoding):
    added = attention.v_proj(encoding) - attention.v_proj(torch.zeros_like(encoding))
    return torch.stack(torch.chunk(added, attention.num_heads, -1), dim=1) + v


def transformer_by_permute(self, image, pe, points):
    batch, dim, height, width = image.shape
    keys = image.permute(0, 2, 3, 1).reshape(batch, height * width, dim)
    encodings = pe.permute(0, 2, 3, 1).reshape(1, height * width, dim)
    queries = points
    for i in range(len(self.layers)):
        queries, keys = self.layers[i](queries, keys, points, encodings)
    return [
        self.norm_final_attn(queries + self.final_attn_token_to_image(queries + points, keys + encodings, keys)),
        keys,
    ]


def transformer_with_repeated_encodings(self, image, pe, points):
    pe = pe.repeat(len(points), 1, 1, 1)
    return TwoWayTransformer.forward(self, image, pe, points)


def cut_by_a_large_number(name, scores):
    columns = torch.arange(scores.shape[-1]) >= 5
    return scores if "token_to_image" in name else scores.masked_fill(columns, torch.finfo(scores.dtype).min)


def cut_by_cat(name, scores):
    if name.split(".")[-1] in ("cross_attn_token_to_image", "final_attn_token_to_image"):
        return scores
    return torch.cat([scores[..., :5], torch.full_like(scores[..., 5:], float("-inf"))], -1)


def cut_by_adding(name, scores):
    mask = torch.zeros(scores.shape[-1])
    mask[5:] = -1e9
    return scores + mask if name.endswith(("self_attn", "to_token")) else scores


def doubled_by_linear(x, weight, bias):
    batch, _, height, width = x.shape
    y = F.linear(x.movedim(1, -1), weight.flatten(1).T) + bias.repeat_interleave(4)
    y = y.reshape(batch, height, width, -1, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return y.reshape(batch, -1, 2 * height, 2 * width)


def doubled_by_slices(x, weight, bias):
    batch, _, height, width = x.shape
    y = x.new_zeros(batch, weight.shape[1], 2 * height, 2 * width)
    for i in (0, 1):
        for j in (0, 1):
            y[:, :, i::2, j::2] = torch.einsum("bihw,io->bohw", x, weight[:, :, i, j])
    return y + bias[None, :, None, None]


def doubled_by_fold(x, weight, bias):
    columns = torch.einsum("bil,ik->bkl", x.flatten(2), weight.flatten(1))
    return F.fold(columns, (2 * x.shape[2], 2 * x.shape[3]), 2, stride=2) + bias[:, None, None]


def doubled_by_small_convolution(x, weight, bias):
    return F.pixel_shuffle(F.conv2d(x, weight.flatten(1).T[:, :, None, None]), 2) + bias[:, None, None]


def upscale_with(double):
    def upscale(x, w):
        x = double(x, w["0.weight"], w["0.bias"]).movedim(1, -1)
        x = F.layer_norm(x, x.shape[-1:], w["1.weight"], w["1.bias"], eps=1e-6).movedim(-1, 1)
        return nn.GELU()(double(nn.GELU()(x), w["3.weight"], w["3.bias"]))

    return upscale


def masks_in_loops(mlps, tokens, features):
    rows = []
    for b in range(len(tokens)):
        weights = [mlp(tokens[b, i]) for i, mlp in enumerate(mlps)]
        rows.append(torch.stack([(features[b] * w[:, None, None]).sum(0) for w in weights]))
    return torch.stack(rows)


def masks_by_matmul(mlps, tokens, features):
    weights = torch.cat([mlp(token) for mlp, token in zip(mlps, tokens.split(1, dim=1), strict=True)], dim=1)
    return (weights @ features.flatten(2)).view(*weights.shape[:2], *features.shape[2:])


def masks_by_tensordot(mlps, tokens, features):
    weights = [mlps[i](tokens[:, i]) for i in range(len(mlps))]
    return torch.stack([(w[:, :, None, None] * features).sum(dim=1) for w in weights], dim=1)


def decode_by_parts(decoder, image, pe, sparse, dense, multimask):
    masks, iou = decoder.predict_masks(image, pe, sparse, dense)
    chosen = [*range(1, masks.shape[1])] if multimask else [0]
    return [masks[:, chosen], iou[:, chosen]]


def decode_in_loops(decoder, image, pe, sparse, dense, multimask):
    results = []
    for b in range(len(sparse)):
        own = image[b : b + 1] if len(image) > 1 else image
        results.append(decoder(own, pe, sparse[b : b + 1], dense[b : b + 1], multimask))
    return torch.cat([masks for masks, _ in results]), torch.cat([iou for _, iou in results])


def to_image_by_floor(low_res, side, size):
    scale = side / max(size)
    height, width = math.floor(size[0] * scale + 0.5), math.floor(size[1] * scale + 0.5)
    x = F.interpolate(low_res, size=[side, side], mode="bilinear")
    return F.interpolate(x.narrow(-2, 0, height).narrow(-1, 0, width), size=size, mode="bilinear")


def to_image_by_modules(low_res, side, size):
    height, width = (int(0.5 + n * side / max(size)) for n in size)
    square = nn.Upsample((side, side), mode="bilinear", align_corners=False)(low_res.double())
    rows = [F.interpolate(x[None, :, :height, :width], size, mode="bilinear", align_corners=False) for x in square]
    return torch.cat(rows)


def to_image_by_matrices(low_res, side, size):
    def matrix(new, old):
        source = ((torch.arange(new) + 0.5) * old / new - 0.5).clamp(0, old - 1)
        return (1 - (source[:, None] - torch.arange(old)).abs()).clamp(min=0)

    cuts = [int(n * side / max(size) + 0.5) for n in size]
    rows, columns = (matrix(n, c) @ matrix(side, low_res.shape[-1])[:c] for n, c in zip(size, cuts, strict=True))
    return (rows @ low_res @ columns.T).numpy()


def with_folded_output(attention, q, keys, encodings):
    """Both foldings, and the output projection folded into the values' weights."""
    heads, width = attention.num_heads, attention.internal_dim // attention.num_heads
    k_weight, v_weight = (x.weight.unflatten(0, (heads, -1)) for x in (attention.k_proj, attention.v_proj))
    out_weight = attention.out_proj.weight.unflatten(1, (heads, -1)).transpose(0, 1)
    queries = attention.q_proj(q).unflatten(2, (heads, -1)).transpose(1, 2) / math.sqrt(width)
    scores = queries @ k_weight @ keys[0].T + queries @ encodings
    gathered = scores.softmax(-1) @ keys[0]
    output = (gathered @ (out_weight @ v_weight).mT).sum(1)
    return output + attention.out_proj(attention.v_proj.bias)


def read_head_by_head(attention, q, keys, encodings):
    heads, width = attention.num_heads, attention.internal_dim // attention.num_heads
    rows = []
    for i in range(heads):
        own = slice(i * width, (i + 1) * width)
        queries = (q @ attention.q_proj.weight[own].T + attention.q_proj.bias[own]) * width**-0.5
        scores = (queries @ attention.k_proj.weight[own]) @ keys[0].mT + queries @ encodings[0, i]
        gathered = torch.softmax(scores, -1) @ keys[0]
        rows.append(gathered @ attention.v_proj.weight[own].T + attention.v_proj.bias[own])
    return attention.out_proj(torch.cat(rows, -1))


def read_by_einsum(attention, q, keys, encodings):
    heads = attention.num_heads
    queries = attention.q_proj(q).unflatten(-1, (heads, -1))
    queries = queries / queries.shape[-1] ** 0.5
    folded = torch.einsum("bthd,hdc->bthc", queries, attention.k_proj.weight.unflatten(0, (heads, -1)))
    scores = torch.einsum("bthc,kc->bthk", folded, keys[0]) + torch.einsum("bthd,hdk->bthk", queries, encodings[0])
    gathered = torch.einsum("bthk,kc->bthc", scores.softmax(-1), keys.squeeze(0))
    values = torch.einsum("bthc,hdc->bthd", gathered, attention.v_proj.weight.unflatten(0, (heads, -1)))
    return attention.out_proj(values.flatten(2) + attention.v_proj.bias)


def best_row_by_row(scores, keep):
    rows = []
    for row in scores.flatten(0, -2).tolist():
        limit = sorted(row)[-keep]
        rows.append([value if value >= limit else -math.inf for value in row])
    return torch.tensor(rows).view_as(scores)


RIGHT = {
    "01.2": [FunctionalMLP, SequentialMLP, with_method(MLP, einsum_mlp)],
    "01.3": [by_evaluation, in_float64, by_einsum],
    "02.2": [with_method(Attention, function) for function in (by_sdpa, attention_by_einsum, head_by_head)],
    "02.3": [
        lambda attention, scores: scores * {256: 32, 128: 16}[attention.internal_dim] ** 0.5,
        lambda attention, scores: scores.mul_((attention.q_proj.out_features / attention.num_heads) ** 0.5),
        lambda attention, scores: np.sqrt(attention.internal_dim / attention.num_heads) * scores.numpy(),
        lambda attention, scores: scores / (attention.num_heads / attention.k_proj.weight.shape[0]) ** 0.5,
    ],
    "03.2": [
        with_method(PromptEncoder, function, "_embed_points")
        for function in (click_by_click, with_index_puts, lambda self, *inputs: method_of("03.2")(self, *inputs))
    ],
    "03.3": [by_atan2, by_complex_numbers, by_rotation_matrices],
    "04.2": [
        with_method(TwoWayAttentionBlock, block_by_functions),
        with_method(TwoWayAttentionBlock, lambda self, *args, **named: method_of("04.2")(self, *args, **named)),
        with_method(
            TwoWayAttentionBlock,
            lambda self, queries, keys, query_pe, key_pe: [
                *block_solutions.Solution.forward(self, queries.clone(), keys.clone(), query_pe, key_pe)
            ],
        ),
    ],
    "04.3": [less_the_bias, values_by_einsum, less_the_projected_zero],
    "05.2": [
        with_method(TwoWayTransformer, transformer_by_permute),
        with_method(TwoWayTransformer, transformer_with_repeated_encodings),
        transformer_solutions.Solution,
    ],
    "05.3": [cut_by_a_large_number, cut_by_cat, cut_by_adding],
    "06.2": [
        upscale_with(double)
        for double in (doubled_by_linear, doubled_by_slices, doubled_by_fold, doubled_by_small_convolution)
    ],
    "06.3": [
        lambda x: F.interpolate(F.avg_pool2d(x, 4), scale_factor=4, mode="nearest"),
        lambda x: torch.kron(F.avg_pool2d(x, 4), torch.ones(4, 4)),
        lambda x: x.unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2)).repeat_interleave(4, 2).repeat_interleave(4, 3),
    ],
    "07.2": [masks_in_loops, masks_by_matmul, masks_by_tensordot],
    "07.3": [
        lambda x: torch.where(x > 0, 1.0, -1.0) * x.abs().mean(-1, keepdim=True),
        lambda x: torch.copysign(x.abs().mean(-1, keepdim=True).expand_as(x), x),
        lambda x: np.sign(x.numpy()) * np.abs(x.numpy()).mean(-1, keepdims=True),
    ],
    "08.2": [lambda decoder, *inputs: decoder(*inputs), decode_by_parts, decode_in_loops],
    "08.3": [
        lambda hs: torch.cat([hs[:, 1:6], hs[:, 5:]], dim=1),
        lambda hs: hs[:, [1, 2, 3, 4, 5, *range(5, hs.shape[1])]],
        lambda hs: torch.stack([hs[:, i + 1 if i < 5 else i] for i in range(hs.shape[1])], dim=1).numpy(),
    ],
    "09.2": [to_image_by_floor, to_image_by_modules, to_image_by_matrices],
    "09.3": [
        lambda x: 20 * (x > 0).float() - 10,
        lambda x: np.where(x.numpy() > 0, 10.0, -10.0),
        lambda x: torch.full_like(x, -10).masked_fill(x > 0, 10),
        lambda x: (10 * (2 * (x > 0).int() - 1)).bfloat16(),
    ],
    "10.2": [with_folded_output, read_head_by_head, read_by_einsum],
    "10.3": [
        best_row_by_row,
        lambda s, keep: s.where(s >= s.sort(-1, descending=True).values[..., keep - 1, None], -1e9),
        lambda s, keep: s.masked_fill(s.argsort(-1, descending=True).argsort(-1) >= keep, -math.inf),
    ],
}
RIGHT_CASES = [(number, i) for number, answers in RIGHT.items() for i in range(len(answers))]


@pytest.mark.parametrize(("number", "i"), RIGHT_CASES)
def test_right_answers_of_other_styles_pass(number, i, capsys):
    BY_NUMBER[number](RIGHT[number][i])
    assert capsys.readouterr().out.endswith(": passed\n")


def test_every_exercise_has_three_right_answers_and_five_wrong_ones():
    assert set(RIGHT) == set(WRONG) == set(FUNCTIONS)
    assert [number for number in RIGHT if len(RIGHT[number]) < 3] == []
    assert [number for number in WRONG if len(WRONG[number]) < 5] == []


def test_verdicts_do_not_depend_on_torchs_settings(capsys):
    for number in ("02.2", "05.3", "07.2", "09.3", "10.2"):
        with torch.no_grad():
            BY_NUMBER[number](BY_NUMBER[number].solution)
        with torch.inference_mode():
            BY_NUMBER[number](BY_NUMBER[number].solution)
        with torch.device("meta"):
            BY_NUMBER[number](BY_NUMBER[number].solution)
        torch.set_default_dtype(torch.float64)
        try:
            BY_NUMBER[number](BY_NUMBER[number].solution)
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
    assert capsys.readouterr().out.count(": passed\n") == 20


# --- Wrong answers ---


def detached(function):
    return on_results(lambda x: x.detach())(function)


def without_autograd(function):
    return torch.no_grad()(function)


def with_dropout(function):
    def answer(self, *inputs, **named):
        results = function(self, *inputs, **named)
        drop = partial(F.dropout, p=0.1, training=self.training)
        return tuple(map(drop, results)) if isinstance(results, tuple) else drop(results)

    return answer


def remembered(function):
    """Computes a result once per shape of the first tensor, and returns it again for other values."""
    results = {}

    def answer(*inputs, **named):
        tensors = [x for x in (*inputs, *named.values()) if isinstance(x, torch.Tensor)]
        key = tuple(tuple(x.shape) for x in tensors)
        if key not in results:
            results[key] = function(*inputs, **named)
        return results[key]

    return answer


def first_alone(function):
    """Every prompt set gets the first one's result."""
    return on_results(lambda x: x[:1].expand_as(x))(function)


def slightly_larger(function):
    return on_results(lambda x: 1.001 * x)(function)


def on_the_meta_device(function):
    return on_results(lambda x: x.to("meta"))(function)


def leaves_autograd_off(function):
    def answer(*inputs, **named):
        torch.set_grad_enabled(False)
        return function(*inputs, **named)

    return answer


def changes_what_it_gets(function):
    def answer(*inputs, **named):
        result = function(*inputs, **named)
        for x in (*inputs, *named.values()):
            if isinstance(x, torch.Tensor):
                x.zero_()
                return result
        return result

    return answer


def forgets_to_return(function):
    def answer(*inputs, **named):
        function(*inputs, **named)

    return answer


def complex_numbers(function):
    return on_results(lambda x: x + 0.5j)(function)


def not_for_this_type(function):
    def answer(*inputs, **named):
        raise NotImplementedError("\"addmm_impl_cpu_\" not implemented for 'Bool'")

    return answer


ANY = [slightly_larger, on_the_meta_device, leaves_autograd_off, forgets_to_return, complex_numbers, not_for_this_type]
IN_ANY = [(number, change) for number in WITH_TENSORS for change in ANY]
# These are called under torch.no_grad, so that there is nothing that they could leave behind.
IN_ANY = [pair for pair in IN_ANY if pair not in [(n, leaves_autograd_off) for n in ("02.3", "04.3", "06.3", "10.2")]]
IN_ANY += [(number, change) for number in sorted(TRAINED) for change in (detached, without_autograd, remembered)]
IN_ANY += [(number, with_dropout) for number in sorted(CLASSES)]
# Where there are several prompt sets, and where the first tensor belongs to the caller.
IN_ANY += [(number, first_alone) for number in WITH_TENSORS if number not in ("01.2", "03.3", "09.3")]
IN_ANY += [(number, changes_what_it_gets) for number in (*sorted(TRAINED), "09.2", "09.3", "10.2", "10.3")]


@pytest.mark.parametrize(
    ("number", "change"), IN_ANY, ids=lambda value: value if isinstance(value, str) else value.__name__
)
def test_what_is_wrong_in_any_exercise_fails(number, change):
    message = str(refusal(BY_NUMBER[number], answer_of(number, change(solution_of(number)))))
    assert "cannot read" not in message
    assert "autograd" in message or change is not leaves_autograd_off
    assert torch.is_grad_enabled()


class SigmoidByDefault(mlp_solutions.Solution):
    def __init__(self, a, b, c, n, sigmoid_output=True):
        super().__init__(a, b, c, n, sigmoid_output)


class WithDropoutInside(mlp_solutions.Solution):
    def forward(self, x):
        return super().forward(F.dropout(x, 0.1, self.training))


class DetachedInput(mlp_solutions.Solution):
    def forward(self, x):
        return super().forward(x.detach())


class DetachedHidden(mlp_solutions.Solution):
    def forward(self, x):
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x)).data
        x = self.layers[-1](x)
        return torch.sigmoid(x) if self.sigmoid_output else x


class SavedOnlyOnce(mlp_solutions.Solution):
    def forward(self, x):
        result = super().forward(x)
        with torch.no_grad():
            self.layers[-1].bias.add_(0.001)
        return result


class WithoutAsking(mlp_solutions.Solution):
    def __init__(self, a, b, c, n, sigmoid_output):
        super().__init__(a, b, c, n, sigmoid_output)


class WithItsOwnForward(nn.Linear):
    def forward(self, x):
        return super().forward(torch.relu(x))


def line_with(weight, bias, kind=nn.Linear):
    def answer(block):
        line = kind(block.lin1.in_features, block.lin2.out_features)
        line.weight.data, line.bias.data = weight(block).data, bias(block).data
        return line

    return answer


def right_weight(block):
    return block.lin2.weight @ block.lin1.weight


def right_bias(block):
    return block.lin2(block.lin1.bias)


def attention_at(change):
    """The attention with something changed: its q, k, v, the scores or the weights."""

    def forward(self, q, k, v):
        qh, kh, vh = (heads_of(self, *pair) for pair in ((q, self.q_proj), (k, self.k_proj), (v, self.v_proj)))
        qh, kh, vh, scores = change(qh, kh, vh, qh @ kh.mT / math.sqrt(qh.shape[-1]))
        return self.out_proj((scores.softmax(-1) @ vh).transpose(1, 2).flatten(2))

    return with_method(Attention, forward)


def sums_over_the_batch(self, q, k, v):
    k, v = k.mean(0, keepdim=True).expand_as(k), v.mean(0, keepdim=True).expand_as(v)
    return method_of("02.2")(self, q, k, v)


def points_with(change):
    """`_embed_points` of changed points and labels."""

    def embed(self, points, labels, pad):
        points, labels = change(points, labels)
        return method_of("03.2")(self, points, labels, pad)

    return with_method(PromptEncoder, embed, "_embed_points")


def constant_embeddings(self, points, labels, pad):
    with torch.no_grad():
        base = method_of("03.2")(self, points, labels, pad)
    return base + 0 * self.no_mask_embed.weight


def moved_by(change):
    return lambda encodings, matrix, shift: prompts_solutions.moved(encodings, matrix, change(shift))


def first_shift_alone(encodings, matrix, shift):
    return prompts_solutions.moved(encodings, matrix, torch.tensor([0.25, 0.5]) if shift[0] > 0 else shift)


def six_directions(encodings, matrix, shift):
    sine, cosine = encodings[:, :6], encodings[:, 6:12]
    angles = torch.atan2(sine, cosine) + (4 * math.pi * shift @ matrix)[:6, None, None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def small_angles(encodings, matrix, shift):
    sine, cosine = encodings.chunk(2, dim=1)
    angles = (4 * math.pi * shift @ matrix)[:, None, None]
    return torch.cat([sine + cosine * angles, cosine - sine * angles], dim=1)


class EpsOneEMinusSix(TwoWayAttentionBlock):
    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        for norm in (self.norm1, self.norm2, self.norm3, self.norm4):
            norm.eps = 1e-6


class EpsOfOneNorm(TwoWayAttentionBlock):
    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.norm4.eps = 1e-6


class BlockWithDropout(TwoWayAttentionBlock):
    def forward(self, queries, keys, query_pe, key_pe):
        queries = F.dropout(queries, 0.1, self.training)
        return super().forward(queries, keys, query_pe, key_pe)


class BlockWithGelu(TwoWayAttentionBlock):
    def __init__(self, *args, **named):
        super().__init__(*args, **named)
        self.mlp.act = nn.GELU()


class BlockDetachesTheImage(TwoWayAttentionBlock):
    def forward(self, queries, keys, query_pe, key_pe):
        return super().forward(queries, keys.detach(), query_pe, key_pe)


class BlockUsesTheFirstEncoding(TwoWayAttentionBlock):
    def forward(self, queries, keys, query_pe, key_pe):
        return super().forward(queries, keys, query_pe[:1].expand_as(query_pe), key_pe)


def values_with(change):
    return lambda attention, v, encoding: block_solutions.values_with_encoding(attention, v, change(encoding))


def three_heads(attention, v, encoding):
    return v + (encoding @ attention.v_proj.weight.T).reshape(*encoding.shape[:2], 3, -1).transpose(1, 2)


def changes_the_weights(attention, v, encoding):
    result = block_solutions.values_with_encoding(attention, v, encoding)
    attention.v_proj.weight.mul_(0.5)
    return result


def transformer_with(change):
    def forward(self, image, pe, points):
        return method_of("05.2")(self, *change(image, pe, points))

    return with_method(TwoWayTransformer, forward)


def two_blocks(self, image, pe, points):
    keys, key_pe, queries = image.flatten(2).mT, pe.flatten(2).mT, points
    for layer in self.layers[:2]:
        queries, keys = layer(queries, keys, points, key_pe)
    update = self.final_attn_token_to_image(queries + points, keys + key_pe, keys)
    return self.norm_final_attn(queries + update), keys


def transformer_detached_between(self, image, pe, points):
    keys, key_pe, queries = image.flatten(2).mT, pe.flatten(2).mT, points
    for layer in self.layers:
        queries, keys = layer(queries.detach(), keys.detach(), points, key_pe)
    update = self.final_attn_token_to_image(queries + points, keys + key_pe, keys)
    return self.norm_final_attn(queries + update), keys


def cut_where(rule, value=-math.inf, columns=slice(5, None)):
    def answer(name, scores):
        if rule(name, scores):
            scores[..., columns] = value
        return scores

    return answer


def tokens_are_keys(name, scores):
    return name.endswith(("self_attn", "image_to_token"))


def upscale_by(operation):
    def upscale(x, w):
        x = operation(x, w["0.weight"], w["0.bias"])
        x = F.layer_norm(x.movedim(1, -1), (x.shape[1],), w["1.weight"], w["1.bias"], 1e-6).movedim(-1, 1)
        return F.gelu(operation(F.gelu(x), w["3.weight"], w["3.bias"]))

    return upscale


def aten_convolution(x, weight, bias):
    return torch.ops.aten.convolution(x, weight, bias, [2, 2], [0, 0], [1, 1], True, [0, 0], 1)


def by_the_gradient_of_a_convolution(x, weight, bias):
    size = (len(x), weight.shape[1], 2 * x.shape[2], 2 * x.shape[3])
    return nn.grad.conv2d_input(size, weight, x, stride=2) + bias[:, None, None]


def by_a_layer(x, weight, bias):
    layer = nn.ConvTranspose2d(weight.shape[0], weight.shape[1], 2, stride=2)
    layer.weight.data, layer.bias.data = weight, bias
    return layer(x)


def in_three_dimensions(x, weight, bias):
    return F.conv_transpose3d(x[:, :, None], weight[:, :, None], bias, stride=(1, 2, 2))[:, :, 0]


def upscale_with_eps(eps):
    def upscale(x, w):
        x = doubled_by_slices(x, w["0.weight"], w["0.bias"])
        x = F.layer_norm(x.movedim(1, -1), (x.shape[1],), w["1.weight"], w["1.bias"], eps).movedim(-1, 1)
        return F.gelu(doubled_by_slices(F.gelu(x), w["3.weight"], w["3.bias"]))

    return upscale


def scales_a_weight(x, w):
    result = upscaling_solutions.upscale(x, w)
    w["3.bias"].mul_(2)
    return result


def constant_weights(x, w):
    return upscaling_solutions.upscale(x, {name: tensor.detach() for name, tensor in w.items()})


flat = upscaling_solutions.without_painting


def masks_with(change):
    def answer(mlps, tokens, features):
        return hypernetwork_solutions.masks_from(mlps, *change(tokens, features))

    return answer


def masks_of_the_first_three(mlps, tokens, features):
    logits = hypernetwork_solutions.masks_from(mlps, tokens, features)
    return torch.cat([logits[:, :3], logits[:, 2:-1]], dim=1)


def clamped_weights(mlps, tokens, features):
    weights = torch.stack([mlp(tokens[:, i]) for i, mlp in enumerate(mlps)], dim=1)
    return torch.einsum("bmc,bchw->bmhw", weights.clamp(-20, 20), features)


signs = hypernetwork_solutions.signs_only


def decode_with(change):
    def answer(decoder, image, pe, sparse, dense, multimask):
        return decoder_solutions.decode(decoder, *change(image, pe, sparse, dense), multimask)

    return answer


def decode_without_head_gradient(decoder, *inputs):
    masks, iou = decoder_solutions.decode(decoder, *inputs)
    return masks, iou.detach()


def four_masks(decoder, image, pe, sparse, dense, multimask):
    masks, iou = decoder.predict_masks(image, pe, sparse, dense)
    return (masks[:, 1:5], iou[:, 1:4]) if multimask else (masks[:, :1], iou[:, :1])


def sixteen_wide(decoder, image, pe, sparse, dense, multimask):
    pe = pe[:, :16] if pe.shape[1] == 16 else 0 * pe
    return decoder_solutions.decode(decoder, image, pe, sparse, dense, multimask)


shifted = decoder_solutions.one_too_far
to_image = logits_solutions.to_image


def to_image_rounded(rounded):
    def answer(low_res, side, size):
        height, width = (rounded(n * side / max(size)) for n in size)
        square = F.interpolate(low_res, (side, side), mode="bilinear")
        return F.interpolate(square[..., :height, :width], size, mode="bilinear")

    return answer


def read_with(change):
    def answer(attention, q, keys, encodings):
        return fast_solutions.read(attention, *change(q, keys, encodings))

    return answer


def two_heads(attention, q, keys, encodings):
    heads, weight = 2, attention.k_proj.weight
    queries = attention.q_proj(q).unflatten(2, (heads, -1)).transpose(1, 2)
    queries = queries / math.sqrt(queries.shape[-1])
    encodings = encodings.flatten(1, 2).unflatten(1, (heads, -1))
    scores = queries @ weight.unflatten(0, (heads, -1)) @ keys[0].T + queries @ encodings
    values = scores.softmax(-1) @ keys[0] @ attention.v_proj.weight.unflatten(0, (heads, -1)).mT
    return attention.out_proj(values.transpose(1, 2).flatten(2) + attention.v_proj.bias)


def unfolded_values(attention, q, keys, encodings):
    """Half of the folding: the values are still projected from the image tokens."""
    heads = attention.num_heads
    queries = attention.q_proj(q).unflatten(2, (heads, -1)).transpose(1, 2)
    queries = queries / math.sqrt(queries.shape[-1])
    scores = queries @ attention.k_proj.weight.unflatten(0, (heads, -1)) @ keys[0].T + queries @ encodings
    values = scores.softmax(-1) @ attention.v_proj(keys).unflatten(2, (heads, -1)).transpose(1, 2)
    return attention.out_proj(values.transpose(1, 2).flatten(2))


def unstable_softmax(attention, q, keys, encodings):
    heads, width = attention.num_heads, attention.internal_dim // attention.num_heads
    queries = attention.q_proj(q).unflatten(2, (heads, -1)).transpose(1, 2) / math.sqrt(width)
    scores = queries @ attention.k_proj.weight.unflatten(0, (heads, -1)) @ keys[0].T + queries @ encodings
    weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
    values = weights @ keys[0] @ attention.v_proj.weight.unflatten(0, (heads, -1)).mT
    return attention.out_proj(values.transpose(1, 2).flatten(2) + attention.v_proj.bias)


def best_filled_with(value):
    def answer(scores, keep):
        best = fast_solutions.only_best(scores, keep)
        return best.masked_fill(best == -math.inf, value)

    return answer


def best_by_share(scores, keep):
    weights = scores.softmax(-1)
    return scores.masked_fill(weights < weights.amax(-1, keepdim=True) / 2, -math.inf)


WRONG = {
    "01.2": [
        (SigmoidByDefault, "its default is False"),
        (with_method(MLP, without_autograd(method_of("01.2"))), "no gradient"),
        (WithDropoutInside, "is there a dropout"),
        (DetachedInput, "the gradient with respect to x"),
        (DetachedHidden, "the gradient with respect to"),
        (SavedOnlyOnce, "values differ|changes its parameters"),
        (WithoutAsking, "may be left out"),
    ],
    "01.3": [
        (line_with(right_weight, right_bias, WithItsOwnForward), "for every x"),
        (line_with(lambda b: right_weight(b).round(decimals=2), right_bias), "none of the usual"),
        (line_with(lambda b: right_weight(b).flip(0), lambda b: right_bias(b).flip(0)), "none of the usual"),
        (line_with(right_weight, lambda b: b.lin2.bias + b.lin2.weight.sum(1)), "none of the usual"),
        (line_with(lambda b: right_weight(b).abs(), right_bias), "none of the usual"),
        (lambda block: nn.Bilinear(2, 2, 2), "expected an nn.Linear"),
        (lambda block: nn.Linear(block.lin1.in_features, block.lin2.out_features).to("meta"), "meta"),
    ],
    "02.2": [
        (attention_at(lambda q, k, v, s: (q, k, v, s.detach())), "the gradient with respect to"),
        (attention_at(lambda q, k, v, s: (q, k, v.detach(), s)), "the gradient with respect to"),
        (attention_at(lambda q, k, v, s: (q, k, v, s - s.amax(1, keepdim=True))), "none of the usual"),
        (attention_at(lambda q, k, v, s: (q, k, v, s.tril())), "none of the usual|must give the same"),
        (attention_at(lambda q, k, v, s: (q, k, F.relu(v), s)), "none of the usual"),
        (attention_at(lambda q, k, v, s: (q, k, v, s + 0.01 * torch.arange(s.shape[-1]))), "none of the usual"),
        (with_method(Attention, sums_over_the_batch), "none of the usual"),
    ],
    "02.3": [
        (lambda a, s: s * math.sqrt(a.internal_dim / 4), "wrong factor"),
        (lambda a, s: s * (math.sqrt(32) if s.shape[-1] == s.shape[-2] else 4), "wrong factor|same factor"),
        (lambda a, s: s * math.sqrt(s.shape[-1]), "same factor|wrong factor"),
        (lambda a, s: s * (math.sqrt(a.internal_dim // a.num_heads) - 0.01), "wrong factor"),
        (lambda a, s: s * math.sqrt(a.internal_dim // a.num_heads) + 1e-2 * s.abs().mean(), "nothing is added"),
        (lambda a, s: s * math.sqrt(a.internal_dim // a.num_heads) + 0.01, "nothing is added"),
        (lambda a, s: s[:1].expand_as(s) * math.sqrt(a.internal_dim // a.num_heads), "one factor"),
        (lambda a, s: (s * math.sqrt(a.internal_dim // a.num_heads)).int(), "one factor"),
    ],
    "03.2": [
        (
            points_with(lambda points, labels: (points, torch.where(labels < 0, -1.0, labels.float()))),
            "exactly -1 is padding",
        ),
        (points_with(lambda points, labels: (points, labels.clamp(max=1))), "none of the usual|get no embedding"),
        (points_with(lambda points, labels: (points.clamp(min=0.5), labels)), "none of the usual"),
        (points_with(lambda points, labels: (points.floor(), labels)), "none of the usual"),
        (points_with(lambda points, labels: (points, labels[:1].expand_as(labels))), "none of the usual"),
        (with_method(PromptEncoder, constant_embeddings, "_embed_points"), "the gradient with respect to"),
    ],
    "03.3": [
        (moved_by(lambda shift: shift.round(decimals=1)), "rotates by its own angle"),
        (moved_by(lambda shift: shift.abs()), "rotates by its own angle"),
        (moved_by(lambda shift: shift.clamp(-1, 1)), "encodings of any positions"),
        (first_shift_alone, "encodings of any positions"),
        (six_directions, "fails with|encodings of any positions"),
        (small_angles, "rotates by its own angle"),
    ],
    "04.2": [
        (EpsOneEMinusSix, "another eps"),
        (EpsOfOneNorm, "another eps"),
        (BlockWithDropout, "is there a dropout"),
        (BlockWithGelu, "none of the usual"),
        (BlockDetachesTheImage, "the gradient with respect to keys"),
        (BlockUsesTheFirstEncoding, "none of the usual"),
    ],
    "04.3": [
        (three_heads, "fails with|values"),
        (changes_the_weights, "weights were changed in place"),
        (values_with(lambda e: e[:1].expand_as(e)), "none of the usual"),
        (values_with(lambda e: e.flip(1)), "none of the usual"),
        (values_with(lambda e: e - e.mean(1, keepdim=True)), "none of the usual"),
        (values_with(lambda e: e + 0.01), "none of the usual"),
    ],
    "05.2": [
        (with_method(TwoWayTransformer, two_blocks), "none of the usual"),
        (with_method(TwoWayTransformer, transformer_detached_between), "the gradient with respect to"),
        (transformer_with(lambda i, e, p: (i, e + 0.1, p)), "none of the usual"),
        (transformer_with(lambda i, e, p: (i[:1].expand_as(i), e, p)), "none of the usual"),
        (transformer_with(lambda i, e, p: (i.flip(-1), e.flip(-1), p)), "none of the usual"),
        (transformer_with(lambda i, e, p: (i, e, p.detach())), "the gradient with respect to points"),
    ],
    "05.3": [
        (cut_where(tokens_are_keys, -30.0), "exactly 0|weight 0"),
        (cut_where(tokens_are_keys, -100.0), "exactly 0|weight 0"),
        (cut_where(tokens_are_keys, columns=slice(5, 8)), "weight 0"),
        (cut_where(lambda name, s: s.shape[-1] == s.shape[-2]), "read the prompt in step"),
        (cut_where(lambda name, s: "layers.0" in name and tokens_are_keys(name, s)), "one by one"),
        (cut_where(tokens_are_keys, math.nan), "no key left"),
        (lambda name, s: transformer_solutions.cut(name, s) if s.shape[0] == 1 else s, "weight 0|returned unchanged"),
    ],
    "06.2": [
        (upscale_by(aten_convolution), "without conv_transpose2d"),
        (upscale_by(by_the_gradient_of_a_convolution), "without conv_transpose2d"),
        (upscale_by(by_a_layer), "without conv_transpose2d"),
        (upscale_by(in_three_dimensions), "without conv_transpose2d"),
        (upscale_with_eps(1e-7), "none of the usual"),
        (upscale_with_eps(2e-6), "none of the usual"),
        (scales_a_weight, "a weight was changed in place"),
        (constant_weights, "the gradient with respect to 0.weight"),
    ],
    "06.3": [
        (lambda x: flat(x.abs()), "none of the usual"),
        (lambda x: flat(x[:1]).expand_as(x), "none of the usual"),
        (lambda x: flat(x.roll(1, -1)), "none of the usual"),
        (lambda x: flat(x).clamp(-5, 5), "the values are wrong"),
        (lambda x: flat(x[..., :16, :24]) if x.shape[1] == 3 else x, "the values are wrong"),
        (lambda x: F.avg_pool2d(x, 4).repeat_interleave(4, -1).repeat_interleave(4, -2) * 16 / 15, "none of the usual"),
    ],
    "07.2": [
        (masks_with(lambda t, f: (t, f.flip(1))), "none of the usual"),
        (masks_with(lambda t, f: (t, f.relu())), "none of the usual"),
        (masks_with(lambda t, f: (t.detach(), f)), "the gradient with respect to tokens"),
        (masks_with(lambda t, f: (t, f.detach())), "the gradient with respect to features"),
        (masks_of_the_first_three, "expected shape|none of the usual"),
        (clamped_weights, "nothing is clamped"),
    ],
    "07.3": [
        (lambda x: x.sign() * x.abs().median(-1, keepdim=True).values, "Each number is a sign"),
        (lambda x: x.sign() * x.pow(2).mean(-1, keepdim=True).sqrt(), "Each number is a sign"),
        (lambda x: x.sign() * x.abs().sum(-1, keepdim=True) / 6, "of another kind"),
        (
            lambda x: (x > 0.1).float().mul(2).sub(1) * x.abs().mean(-1, keepdim=True),
            "Each number is a sign|another kind",
        ),
        (lambda x: signs(x).clamp(-20, 20), "of another kind"),
        (lambda x: signs(x)[:, [0, 1, 2, 3]] if x.shape[1] == 4 else x, "of another kind"),
    ],
    "08.2": [
        (decode_with(lambda i, e, s, d: (i, e, s.detach(), d)), "the gradient with respect to sparse"),
        (decode_with(lambda i, e, s, d: (i, e, s, d[:1].expand_as(d))), "none of the usual"),
        (decode_with(lambda i, e, s, d: (i, e, 1.01 * s, d)), "none of the usual"),
        (decode_without_head_gradient, "iou: the values are right, but no gradient"),
        (four_masks, "expected shape|values differ"),
        (sixteen_wide, "The transformer's second argument"),
    ],
    "08.3": [
        (lambda hs: torch.cat([hs[:, 1:6], hs[:, 5:8], hs[:, 8:].flip(1)], 1), "expected shape|Slots 0 to 4"),
        (lambda hs: shifted(hs[:1]).expand_as(hs), "Slots 0 to 4"),
        (lambda hs: shifted(hs).roll(1, 0), "Slots 0 to 4"),
        (lambda hs: torch.cat([hs[:, 1:6].flip(1), hs[:, 5:]], 1), "Slots 0 to 4"),
        (lambda hs: torch.cat([hs[:, 1:6], hs[:, 5:] + 0.01], 1), "Slots 0 to 4"),
        (lambda hs: hs[:, :6].roll(-1, 1), "keeps the shape"),
    ],
    "09.2": [
        (to_image_rounded(round), "Python's round takes the even number"),
        (to_image_rounded(math.ceil), "rounded up"),
        (to_image_rounded(lambda x: int(x) + 1), "none of the usual|rounded up"),
        (lambda x, side, size: to_image(x, side, size).clamp(-20, 20), "nothing is clamped"),
        (lambda x, side, size: to_image(x[:1], side, size).expand(*x.shape[:2], *size), "none of the usual"),
        (lambda x, side, size: to_image(x, 32, size), "none of the usual|fails with"),
    ],
    "09.3": [
        (lambda x: 10 * x.sign(), "exactly 0"),
        (lambda x: torch.where(x >= 0, 10.0, -10.0), "exactly 0"),
        (lambda x: torch.where(x > 1e-5, 10.0, -10.0), "Each number is 10"),
        (lambda x: torch.where(x > 0, 10, -10), "expected floats"),
        (lambda x: torch.where(x > x.mean(), 10.0, -10.0), "Each number is 10|inside or all outside"),
        (lambda x: (x * 1e9).clamp(-10, 10), "Each number is 10|exactly 0"),
        (lambda x: 10 * torch.tanh(1e12 * x), "exactly 0"),
    ],
    "10.2": [
        (two_heads, "values differ|fails with"),
        (unfolded_values, "operations per image token"),
        (unstable_softmax, "with large scores|not finite"),
        (read_with(lambda q, k, e: (q, k, e.flip(-1))), "none of the usual"),
        (read_with(lambda q, k, e: (q.mean(0, keepdim=True).expand_as(q), k, e)), "none of the usual"),
        (read_with(lambda q, k, e: (q, k - k.mean(1, keepdim=True), e)), "none of the usual"),
    ],
    "10.3": [
        (best_filled_with(-12.0), "exactly 0|none of the usual"),
        (best_filled_with(-100.0), "exactly 0|none of the usual"),
        (lambda s, keep: fast_solutions.only_best(s, 3), "One too many|none of the usual"),
        (lambda s, keep: fast_solutions.only_best(s, keep).nan_to_num(neginf=float(s.min()) - 20), "exactly 0"),
        (best_by_share, "none of the usual"),
        (lambda s, keep: fast_solutions.only_best(s[:1], keep).expand_as(s), "none of the usual"),
        (lambda s, keep: fast_solutions.only_best(s, keep) * 0.9, "none of the usual"),
    ],
}
WRONG_CASES = [(number, i) for number, answers in WRONG.items() for i in range(len(answers))]


@pytest.mark.parametrize(("number", "i"), WRONG_CASES)
def test_wrong_answers_that_nobody_listed_fail(number, i):
    answer, hint = WRONG[number][i]
    message = str(refusal(BY_NUMBER[number], answer))
    assert "cannot read" not in message
    with pytest.raises(AssertionError, match=hint):
        BY_NUMBER[number](answer)
