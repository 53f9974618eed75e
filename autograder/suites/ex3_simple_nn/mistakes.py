"""Known wrong answers of exercise 3 and what a student is told about each.

A function or class here is a wrong twin of the student's; its name is the id of the mistake. ``named`` ones
are recognised by a check, ``on_error`` ones by the exception.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder import mistake

ACTIVATION = "01.06 Activation functions"
LINEAR = "01.06 Linear layers in PyTorch"
MODULE = "01.06 Module class"
NESTING = "01.06 Activation functions (nesting linear layers)"
OUTPUT = "01.06 Which activation for which problem?"

# ---------------------------------------------------------------- activations

mistake.named(
    "activations",
    "ready_made",
    message="`{operation}` is a ready-made activation. Here you write the formula yourself.",
    slide=ACTIVATION,
)
mistake.named(
    "activations",
    "in_place",
    message="The call changed z: operations with a trailing underscore, +=, and z[mask] = … work in place.",
    hint="torch.where(z > 0, z, 0.0) or z.clamp(min=0) instead of z[z < 0] = 0",
    slide=ACTIVATION,
)
mistake.named(
    "activations",
    "graph_cut",
    message="The result is cut off from the graph: a network with this activation could not learn.",
    hint="No .item(), .detach(), .data, .numpy(), torch.tensor(…) or no_grad on the way.",
    slide=ACTIVATION,
)
mistake.named(
    "activations",
    "other_device",
    message="A constant is made on the CPU, wherever z is. On a GPU this line would raise.",
    hint="torch.zeros_like(z), z.new_zeros(…), or a plain Python number",
    slide=ACTIVATION,
)
mistake.named(
    "activations", "missing_return", message="None came back: a return is missing.", slide=ACTIVATION
)


def _overflows(of: str) -> Any:
    return mistake(
        "activations",
        "At |z| = 100 e^|z| does not fit into a float32: it is inf, and inf / inf is nan.",
        of=of,
        slide=ACTIVATION,
        hint="Only use e^(-|z|), which is at most 1: for one, tanh(z) = 2 / (1 + e^(-2z)) - 1.",
    )


@_overflows("sigmoid")
def sigmoid_overflows(z: Tensor) -> Tensor:
    return torch.exp(z) / (1 + torch.exp(z))


@_overflows("tanh")
def tanh_overflows(z: Tensor) -> Tensor:
    return (torch.exp(z) - torch.exp(-z)) / (torch.exp(z) + torch.exp(-z))


@_overflows("tanh")
def tanh_overflows_above(z: Tensor) -> Tensor:
    return (torch.exp(2 * z) - 1) / (torch.exp(2 * z) + 1)


@_overflows("tanh")
def tanh_overflows_below(z: Tensor) -> Tensor:
    return (1 - torch.exp(-2 * z)) / (1 + torch.exp(-2 * z))


@mistake(
    "activations", "The minus is missing: it is e^(-z).", of="sigmoid", slide=ACTIVATION, hint="torch.exp(-z)"
)
def sigmoid_mirrored(z: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(z))


@mistake(
    "activations",
    "1 / 1 + e^(-z) is (1 / 1) + e^(-z): the denominator needs parentheses.",
    of="sigmoid",
    slide=ACTIVATION,
)
def sigmoid_without_parentheses(z: Tensor) -> Tensor:
    return 1 / 1 + torch.exp(-z)


@mistake("activations", "This is the derivative σ(z)(1 - σ(z)), not σ(z).", of="sigmoid", slide=ACTIVATION)
def sigmoid_derivative(z: Tensor) -> Tensor:
    return torch.sigmoid(z) * (1 - torch.sigmoid(z))


@mistake("activations", "This is tanh. sigmoid goes from 0 to 1.", of="sigmoid", slide=ACTIVATION)
def sigmoid_is_tanh(z: Tensor) -> Tensor:
    return torch.tanh(z)


@mistake("activations", "This is softmax: sigmoid looks at each entry alone.", of="sigmoid", slide=ACTIVATION)
def sigmoid_is_softmax(z: Tensor) -> Tensor:
    return torch.exp(z) / torch.exp(z).sum()


@mistake("activations", "This is sigmoid. tanh goes from -1 to 1.", of="tanh", slide=ACTIVATION)
def tanh_is_sigmoid(z: Tensor) -> Tensor:
    return torch.sigmoid(z)


@mistake(
    "activations",
    "This is tanh(z / 2): a factor 2 is missing in the exponent.",
    of="tanh",
    slide=ACTIVATION,
    hint="tanh(z) = 2 σ(2z) - 1",
)
def tanh_of_half(z: Tensor) -> Tensor:
    return torch.tanh(z / 2)


@mistake("activations", "The sign is wrong: tanh(1) is positive.", of="tanh", slide=ACTIVATION)
def tanh_mirrored(z: Tensor) -> Tensor:
    return -torch.tanh(z)


@mistake(
    "activations", "This is the numerator, twice sinh. Divide by e^z + e^(-z).", of="tanh", slide=ACTIVATION
)
def tanh_numerator(z: Tensor) -> Tensor:
    return torch.exp(z) - torch.exp(-z)


@mistake(
    "activations", "This is coth: numerator and denominator have changed places.", of="tanh", slide=ACTIVATION
)
def tanh_upside_down(z: Tensor) -> Tensor:
    return (torch.exp(z) + torch.exp(-z)) / (torch.exp(z) - torch.exp(-z))


@mistake("activations", "Negative numbers become positive. ReLU sets them to 0.", of="relu", slide=ACTIVATION)
def relu_is_abs(z: Tensor) -> Tensor:
    return z.abs()


@mistake(
    "activations", "This keeps the negative part. ReLU keeps the positive one.", of="relu", slide=ACTIVATION
)
def relu_is_minimum(z: Tensor) -> Tensor:
    return z.clamp(max=0)


@mistake(
    "activations", "This is a step: 0 or 1. ReLU keeps z where it is positive.", of="relu", slide=ACTIVATION
)
def relu_is_step(z: Tensor) -> Tensor:
    return (z > 0).to(z.dtype)


@mistake(
    "activations", "Below 0 something is left (leaky ReLU). ReLU is 0 there.", of="relu", slide=ACTIVATION
)
def relu_is_leaky(z: Tensor) -> Tensor:
    return torch.where(z > 0, z, 0.01 * z)


@mistake(
    "activations", "Below 0 something is left (leaky ReLU). ReLU is 0 there.", of="relu", slide=ACTIVATION
)
def relu_is_very_leaky(z: Tensor) -> Tensor:
    return torch.where(z > 0, z, 0.1 * z)


@mistake("activations", "Above 1 it stays at 1. ReLU has no upper end.", of="relu", slide=ACTIVATION)
def relu_clipped(z: Tensor) -> Tensor:
    return z.clamp(0, 1)


@mistake("activations", "Above 6 it stays at 6. ReLU has no upper end.", of="relu", slide=ACTIVATION)
def relu_is_relu6(z: Tensor) -> Tensor:
    return z.clamp(0, 6)


@mistake(
    "activations",
    "This is one number: the largest entry. ReLU compares each entry with 0.",
    of="relu",
    slide=ACTIVATION,
    hint="torch.maximum(z, torch.zeros_like(z)) or z.clamp(min=0)",
)
def relu_is_maximum(z: Tensor) -> Tensor:
    return z.max().clamp(min=0)


@mistake(
    "activations",
    "The entries below 0 are thrown away. ReLU keeps the shape and sets them to 0.",
    of="relu",
    slide=ACTIVATION,
)
def relu_drops_entries(z: Tensor) -> Tensor:
    return z[z > 0]


@mistake(
    "activations",
    "The density φ is used (small phi, as the slide prints it). GELU takes the distribution function Φ.",
    of="gelu",
    slide=ACTIVATION,
    hint="Φ(z) = (1 + erf(z / √2)) / 2",
)
def density_for_distribution(z: Tensor) -> Tensor:
    return z * torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


@mistake(
    "activations",
    "erf wants z / √2: without the root Φ belongs to another normal distribution.",
    of="gelu",
    slide=ACTIVATION,
    hint="torch.erf(z / math.sqrt(2))",
)
def erf_without_root(z: Tensor) -> Tensor:
    return z * 0.5 * (1 + torch.erf(z))


@mistake("activations", "erf wants z / √2, not z · √2.", of="gelu", slide=ACTIVATION)
def erf_times_root(z: Tensor) -> Tensor:
    return z * 0.5 * (1 + torch.erf(z * math.sqrt(2)))


@mistake("activations", "erf wants z / √2, not z / 2.", of="gelu", slide=ACTIVATION)
def erf_of_half(z: Tensor) -> Tensor:
    return z * 0.5 * (1 + torch.erf(z / 2))


@mistake(
    "activations",
    "z · σ(1.702 z) is a rough approximation, off by 0.02. Use erf.",
    of="gelu",
    slide=ACTIVATION,
    hint="Φ(z) = (1 + erf(z / √2)) / 2",
)
def quick_gelu(z: Tensor) -> Tensor:
    return z * torch.sigmoid(1.702 * z)


@mistake("activations", "z · σ(z) is SiLU (Swish). GELU is z · Φ(z).", of="gelu", slide=ACTIVATION)
def gelu_is_silu(z: Tensor) -> Tensor:
    return z * torch.sigmoid(z)


@mistake("activations", "This is Φ(z) alone. GELU is z · Φ(z).", of="gelu", slide=ACTIVATION)
def gelu_without_z(z: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(z / math.sqrt(2)))


@mistake("activations", "The factor 1/2 is missing: Φ goes from 0 to 1.", of="gelu", slide=ACTIVATION)
def gelu_without_half(z: Tensor) -> Tensor:
    return z * (1 + torch.erf(z / math.sqrt(2)))


@mistake(
    "activations", "The 1 + is missing: erf goes from -1 to 1, Φ from 0 to 1.", of="gelu", slide=ACTIVATION
)
def gelu_without_one(z: Tensor) -> Tensor:
    return z * 0.5 * torch.erf(z / math.sqrt(2))


@mistake(
    "activations", "erf alone goes from -1 to 1. Φ(z) = (1 + erf(z / √2)) / 2.", of="gelu", slide=ACTIVATION
)
def gelu_with_erf_alone(z: Tensor) -> Tensor:
    return z * torch.erf(z / math.sqrt(2))


@mistake("activations", "This is ReLU. GELU is smooth: z · Φ(z).", of="gelu", slide=ACTIVATION)
def gelu_is_relu(z: Tensor) -> Tensor:
    return torch.relu(z)


mistake.on_error(
    "activations",
    "math_on_tensor",
    error="TypeError|ValueError|RuntimeError",
    match=(
        "cannot be converted to (Scalar|Python)|only (one element|length-1|integer|0-dimensional)|item\\(\\)"
    ),
    message="math.exp and friends take one number. For tensors there is torch.exp, torch.erf, …",
    hint="torch.exp(-z)",
    slide=ACTIVATION,
)
mistake.on_error(
    "activations",
    "torch_on_number",
    error="TypeError",
    match="must be Tensor, not (int|float)|invalid combination of arguments",
    message="A torch function got a plain number where it wants a tensor.",
    hint="math.sqrt(2) for numbers; torch.maximum(z, torch.zeros_like(z)) or z.clamp(min=0)",
    slide=ACTIVATION,
)
mistake.on_error(
    "activations",
    "asks_the_whole_tensor",
    error="RuntimeError",
    match="Boolean value of Tensor with more than one value",
    message="`if z > 0` and max(0, z) ask one question of the whole tensor. Decide entry by entry.",
    hint="torch.where(z > 0, z, 0.0), z.clamp(min=0), or z * (z > 0)",
    slide=ACTIVATION,
)
mistake.on_error(
    "activations",
    "numpy_on_graph",
    error="RuntimeError",
    match="Can't call numpy\\(\\)",
    message="NumPy knows no gradients. Use the functions of torch: torch.exp instead of np.exp.",
    slide=ACTIVATION,
)

# ---------------------------------------------------------------- my_linear, simple_mlp

_NO_SUPER = (
    r"before Module\.__init__|super\(\)\.__init__|has no attribute '_(parameters|modules|buffers|"
    r"(forward|backward)_(pre_)?hooks|non_persistent_buffers_set|is_full_backward_hook|state_dict_hooks)'"
)
for _task, _slide in (("my_linear", LINEAR), ("simple_mlp", MODULE)):
    mistake.on_error(
        _task,
        "no_super",
        error="AttributeError|RuntimeError",
        match=_NO_SUPER,
        message="super().__init__() is missing: it builds the registers for parameters and layers.",
        hint="super().__init__() is the first line of __init__.",
        slide=_slide,
    )
    mistake.on_error(
        _task,
        "no_forward",
        error="NotImplementedError",
        match=r"missing the required \"forward\" function",
        message="There is no forward: calling the module calls forward(x). Check its name and its indent.",
        slide=_slide,
    )
    mistake.named(_task, "missing_return", message="None came back: forward has no return.", slide=_slide)
    mistake.named(
        _task,
        "seeded_inside",
        message=(
            "Two instances are born with the same numbers: the class seeds the generator, or does not draw "
            "numbers of its own for each instance."
        ),
        hint="Random numbers in __init__, and no seed there: seed once, at the top of the notebook.",
        slide=_slide,
    )
    mistake.named(
        _task,
        "graph_cut",
        message="The gradient does not reach the parameters: they would never learn.",
        hint="In forward no .data, .detach(), .item() or no_grad.",
        slide=_slide,
    )
    mistake.named(
        _task,
        "stays_behind",
        message="A tensor of the module stays behind when the module moves to another device.",
        hint="Keep tensors as nn.Parameter, layers as attributes; make new ones on x.device.",
        slide=_slide,
    )

mistake.named(
    "my_linear",
    "plain_tensor",
    message=(
        "parameters() is empty: an optimizer would have nothing to learn. Wrap the tensors in nn.Parameter."
    ),
    hint="self.weight = nn.Parameter(torch.randn(out_features, in_features))",
    slide=LINEAR,
)
mistake.named(
    "my_linear",
    "plain_bias",
    message="bias is a plain tensor and not among the parameters(). Wrap it in nn.Parameter.",
    hint="self.bias = nn.Parameter(torch.zeros(out_features))",
    slide=LINEAR,
)
mistake.named(
    "my_linear",
    "wraps_linear",
    message="The layer uses nn.Linear. Here you build it: two nn.Parameter and one line of maths.",
    slide=LINEAR,
)
mistake.named(
    "my_linear",
    "weight_in_out",
    message="The weight is (in, out). PyTorch keeps (out, in), and with in = out you would not notice.",
    hint="nn.Parameter(torch.randn(out_features, in_features)); forward: x @ self.weight.T",
    slide=LINEAR,
)
mistake.named(
    "my_linear",
    "bias_ignored",
    message="bias=False makes no difference: the layer has a bias anyway.",
    hint="self.bias = nn.Parameter(…) if bias else None",
    slide=LINEAR,
)
mistake.named(
    "my_linear",
    "uninitialised",
    message="{parameter} was never filled: torch.empty and torch.Tensor hand out whatever lies in memory.",
    hint="torch.randn(out, in) / math.sqrt(in) for the weight, torch.zeros(out) for the bias",
    slide=LINEAR,
)
mistake.named(
    "my_linear",
    "too_large",
    message="The numbers of a fresh layer are huge. Small ones are asked for, about 1 / √in.",
    hint="torch.randn(out, in) / math.sqrt(in)",
    slide=LINEAR,
)
mistake.named(
    "my_linear",
    "bias_not_none",
    message="With bias=False the attribute bias is None: not False, not zeros.",
    hint="self.bias = nn.Parameter(…) if bias else None",
    slide=LINEAR,
)
mistake.on_error(
    "my_linear",
    "bias_not_set",
    error="AttributeError",
    match="no attribute 'bias'",
    message="With bias=False self.bias was never set, and forward asks for it.",
    hint="self.bias = nn.Parameter(…) if bias else None",
    slide=LINEAR,
)
mistake.named(
    "my_linear",
    "zero_init",
    message="All neurons start alike, so they get the same gradient and learn the same thing for ever.",
    hint="Random weights: torch.randn(out, in) / math.sqrt(in). The bias may start at zero.",
    slide=LINEAR,
)


class _Linear(nn.Module):
    def __init__(self, i: int, o: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(o, i))
        self.bias = nn.Parameter(torch.zeros(o)) if bias else None


@mistake("my_linear", "The bias is never added.", slide=LINEAR, hint="x @ self.weight.T + self.bias")
class bias_not_added(_Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


@mistake("my_linear", "The bias is subtracted. It is added.", slide=LINEAR)
class bias_subtracted(_Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T if self.bias is None else x @ self.weight.T - self.bias


@mistake("my_linear", "A ReLU comes after the layer. A linear layer is linear.", slide=LINEAR)
class activated(_Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias).relu()


mistake.on_error(
    "my_linear",
    "bias_is_none",
    error="TypeError",
    match="NoneType",
    message="With bias=False self.bias is None, and None cannot be added.",
    hint="if self.bias is not None: y = y + self.bias",
    slide=LINEAR,
)
mistake.on_error(
    "my_linear",
    "shapes_do_not_fit",
    error="RuntimeError",
    match="shapes cannot be multiplied|size mismatch|inconsistent tensor size|must match the size of tensor",
    message="The shapes do not fit: x is (*, in) and weight is (out, in), so it is x @ weight.T.",
    hint="x @ self.weight.T + self.bias",
    slide=LINEAR,
)
mistake.on_error(
    "my_linear",
    "two_axes_only",
    error="RuntimeError|IndexError",
    match=(
        "must be a matrix|2D tensor|only supports.*2|must be 2|self must be|expected.*2-D|"
        "Dimension out of range"
    ),
    message="The code insists on two axes. x is (*, in): one vector, a batch, or more axes.",
    hint="@ works for all of them; .T only for the weight.",
    slide=LINEAR,
)
mistake.on_error(
    "my_linear",
    "no_bias_argument",
    error="TypeError",
    match="argument 'bias'|positional argument",
    message="MyLinear takes in_features, out_features and bias=True.",
    slide=LINEAR,
)

mistake.named(
    "simple_mlp",
    "plain_list",
    message="The layers are in a Python list, where parameters() does not look: it finds {got}.",
    hint="nn.ModuleList or nn.Sequential instead of a list; or one attribute for each layer.",
    slide=MODULE,
)
mistake.named(
    "simple_mlp",
    "layers_in_forward",
    message="forward makes new layers: two calls, two results, and nothing to learn.",
    hint="Make the layers in __init__, use them in forward.",
    slide=MODULE,
)
mistake.named(
    "simple_mlp",
    "random_inside",
    message="Two calls, two results: something random happens in forward. A Dropout?",
    hint="Layer, activation, layer, and nothing else.",
    slide=MODULE,
)
mistake.named(
    "simple_mlp",
    "no_bias",
    message="A bias is missing: both layers have one.",
    hint="nn.Linear(input_dim, hidden_dim), bias=True is the default",
    slide=MODULE,
)
mistake.named(
    "simple_mlp",
    "one_layer",
    message="There is one layer. The slide has two: input to hidden, hidden to output.",
    slide=MODULE,
)
mistake.named(
    "simple_mlp",
    "too_many_layers",
    message="There are more parameters than two layers have: is there a layer too many?",
    slide=MODULE,
)
mistake.named(
    "simple_mlp",
    "sizes_hard_coded",
    message="128, 256 and 10 are the slide's example. Use input_dim, hidden_dim and output_dim.",
    slide=MODULE,
)
mistake.named(
    "simple_mlp",
    "hidden_and_output_swapped",
    message="hidden_dim and output_dim have changed places.",
    hint="def __init__(self, input_dim, hidden_dim, output_dim, act=nn.GELU)",
    slide=MODULE,
)
mistake.named(
    "simple_mlp",
    "second_layer_missing",
    message="The hidden layer comes out: the second layer is not used.",
    hint="x = self.act(self.fc1(x)); return self.fc2(x)",
    slide=MODULE,
)
mistake.named(
    "simple_mlp",
    "final_activation",
    message="An activation comes after the last layer: the outputs are bounded on one side.",
    hint="return self.fc2(x)",
    slide=MODULE,
)


class _MLP(nn.Module):
    def __init__(self, i: int, h: int, o: int, act: Any = nn.GELU) -> None:
        super().__init__()
        self.fc1, self.fc2, self.act = nn.Linear(i, h), nn.Linear(h, o), act()


_FINAL = "An activation comes after the last layer"


@mistake(
    "simple_mlp",
    "There is no activation: two linear layers are one linear layer.",
    slide=MODULE,
    hint="self.act(self.fc1(x))",
)
class no_activation(_MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(x))


@mistake(
    "simple_mlp",
    _FINAL + ": outputs are never (far) below 0.",
    slide=MODULE,
    hint="return self.fc2(x)",
    id="final_activation_act",
)
class _FinalAct(_MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.fc2(self.act(self.fc1(x))))


@mistake(
    "simple_mlp",
    _FINAL + ": outputs are never negative.",
    slide=MODULE,
    hint="return self.fc2(x)",
    id="final_relu",
)
class _FinalRelu(_MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x))).relu()


@mistake(
    "simple_mlp",
    _FINAL + " (softmax). The model returns scores.",
    slide=MODULE,
    hint="return self.fc2(x)",
    id="final_softmax",
)
class _FinalSoftmax(_MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x))).softmax(dim=-1)


@mistake(
    "simple_mlp",
    _FINAL + " (log-softmax). The model returns scores.",
    slide=MODULE,
    hint="return self.fc2(x)",
    id="final_log_softmax",
)
class _FinalLogSoftmax(_MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x))).log_softmax(dim=-1)


@mistake(
    "simple_mlp",
    _FINAL + " (sigmoid): outputs stay between 0 and 1.",
    slide=MODULE,
    hint="return self.fc2(x)",
    id="final_sigmoid",
)
class _FinalSigmoid(_MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x))).sigmoid()


@mistake(
    "simple_mlp",
    "The activation comes after the second layer instead of the first.",
    slide=MODULE,
    hint="self.fc2(self.act(self.fc1(x)))",
)
class activation_at_the_end(_MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.fc2(self.fc1(x)))


@mistake(
    "simple_mlp",
    "The activation is applied to x. It comes after the first layer.",
    slide=MODULE,
    hint="self.fc2(self.act(self.fc1(x)))",
)
class activation_first(_MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(self.act(x)))


@mistake("simple_mlp", "The activation is applied twice in a row.", slide=MODULE)
class activation_twice(_MLP):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.act(self.fc1(x))))


for _name, _function in (
    ("GELU", F.gelu),
    ("ReLU", F.relu),
    ("tanh", torch.tanh),
    ("sigmoid", torch.sigmoid),
):

    class _Ignores(_MLP):
        function = staticmethod(_function)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc2(self.function(self.fc1(x)))

    mistake(
        "simple_mlp",
        (
            f"The argument act is ignored: the hidden layer uses {_name} whatever is asked for (GELU by "
            f"default)."
        ),
        slide=MODULE,
        hint="self.act = act()",
        id=f"act_ignored_{_name.lower()}" if _name != "GELU" else "act_ignored",
    )(_Ignores)

mistake.on_error(
    "simple_mlp",
    "act_not_made",
    error="TypeError|AttributeError",
    match=(
        r"not (GELU|Tanh|ReLU|Sigmoid)\b|'(GELU|Tanh|ReLU|Sigmoid)' object has no attribute|"
        "must be Tensor, not type"
    ),
    message="act is a class. Make an object of it first: self.act = act(). Then self.act(x) is a tensor.",
    hint="self.act = act()",
    slide=MODULE,
)
mistake.on_error(
    "simple_mlp",
    "no_act_argument",
    error="TypeError",
    match="keyword argument 'act'",
    message="__init__ has no argument act: SimpleMLP(input_dim, hidden_dim, output_dim, act=nn.GELU).",
    slide=MODULE,
)
mistake.on_error(
    "simple_mlp",
    "layers_do_not_fit",
    error="RuntimeError",
    match="shapes cannot be multiplied|size mismatch",
    message="The layers do not fit: input_dim to hidden_dim, then hidden_dim to output_dim.",
    hint="Use the arguments, not the 128, 256, 10 of the slide, and mind their order.",
    slide=MODULE,
)

# ---------------------------------------------------------------- count_parameters

mistake.named(
    "count_parameters",
    "changes_model",
    message="Counting changed the model. Look at requires_grad, do not set it.",
    slide=MODULE,
)
mistake.named(
    "count_parameters", "missing_return", message="None came back: a return is missing.", slide=MODULE
)


def _wanted(model: nn.Module, trainable_only: bool) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad or not trainable_only]


@mistake(
    "count_parameters",
    "This is the number of tensors. The parameters are the numbers in them.",
    slide=MODULE,
    hint="p.numel()",
)
def tensors_not_elements(model: nn.Module, trainable_only: bool = True) -> int:
    return len(_wanted(model, trainable_only))


@mistake(
    "count_parameters",
    "trainable_only makes no difference: frozen parameters are counted as well.",
    slide=MODULE,
    hint="if p.requires_grad",
)
def frozen_counted(model: nn.Module, trainable_only: bool = True) -> int:
    return sum(p.numel() for p in model.parameters())


@mistake(
    "count_parameters",
    "trainable_only makes no difference: frozen parameters are never counted.",
    slide=MODULE,
    hint="if p.requires_grad or not trainable_only",
)
def frozen_never_counted(model: nn.Module, trainable_only: bool = True) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@mistake("count_parameters", "trainable_only works the wrong way round.", slide=MODULE)
def turned_round(model: nn.Module, trainable_only: bool = True) -> int:
    return sum(p.numel() for p in _wanted(model, not trainable_only))


@mistake(
    "count_parameters",
    "What learns is not counted, only what is frozen (as all tensors out of state_dict() are).",
    slide=MODULE,
    hint="for p in model.parameters() if p.requires_grad",
)
def frozen_only(model: nn.Module, trainable_only: bool = True) -> int:
    return sum(p.numel() for p in model.parameters() if not p.requires_grad or not trainable_only)


@mistake("count_parameters", "Without trainable_only the frozen ones alone are counted.", slide=MODULE)
def either_or(model: nn.Module, trainable_only: bool = True) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad == trainable_only)


@mistake("count_parameters", "trainable_only is True unless the caller says otherwise.", slide=MODULE)
def default_is_false(model: nn.Module, trainable_only: bool = False) -> int:
    return sum(p.numel() for p in _wanted(model, trainable_only))


@mistake(
    "count_parameters",
    "len(p) is the first axis alone. numel() is the number of elements.",
    slide=MODULE,
    hint="p.numel()",
)
def first_axis(model: nn.Module, trainable_only: bool = True) -> int:
    return sum(p.shape[0] if p.ndim else 1 for p in _wanted(model, trainable_only))


@mistake(
    "count_parameters", "The axes are added. Their product counts: numel().", slide=MODULE, hint="p.numel()"
)
def axes_added(model: nn.Module, trainable_only: bool = True) -> int:
    return sum(sum(p.shape) for p in _wanted(model, trainable_only))


@mistake("count_parameters", "The biases are left out. They are parameters too.", slide=MODULE)
def weights_only(model: nn.Module, trainable_only: bool = True) -> int:
    rows = model.named_parameters()
    return sum(p.numel() for n, p in rows if "bias" not in n and (p.requires_grad or not trainable_only))


@mistake(
    "count_parameters", "Only the model's own parameters are counted, not those of its layers.", slide=MODULE
)
def own_parameters_only(model: nn.Module, trainable_only: bool = True) -> int:
    return sum(p.numel() for p in model.parameters(recurse=False) if p.requires_grad or not trainable_only)


@mistake(
    "count_parameters",
    "state_dict holds buffers as well, and shared parameters twice. Ask model.parameters().",
    slide=MODULE,
)
def state_dict_counted(model: nn.Module, trainable_only: bool = True) -> int:
    rows = model.state_dict(keep_vars=True).values()
    return sum(p.numel() for p in rows if p.requires_grad or not trainable_only)


@mistake(
    "count_parameters",
    "state_dict holds buffers as well, and shared parameters twice. Ask model.parameters().",
    slide=MODULE,
)
def state_dict_counted_whole(model: nn.Module, trainable_only: bool = True) -> int:
    return sum(p.numel() for p in model.state_dict().values())


@mistake(
    "count_parameters",
    "Buffers are counted: running statistics belong to the model, but nobody learns them.",
    slide=MODULE,
)
def buffers_counted(model: nn.Module, trainable_only: bool = True) -> int:
    extra = 0 if trainable_only else sum(b.numel() for b in model.buffers())
    return extra + sum(p.numel() for p in _wanted(model, trainable_only))


@mistake(
    "count_parameters",
    "Parameters are counted again for each module that holds them: model.parameters() looks inside already.",
    slide=MODULE,
)
def counted_at_every_level(model: nn.Module, trainable_only: bool = True) -> int:
    return sum(p.numel() for m in model.modules() for p in _wanted(m, trainable_only))


@mistake(
    "count_parameters",
    "A weight that two layers share is counted twice. It is one parameter: model.parameters() lists it once.",
    slide=MODULE,
)
def shared_counted_twice(model: nn.Module, trainable_only: bool = True) -> int:
    rows = [p for m in model.modules() for p in m.parameters(recurse=False)]
    return sum(p.numel() for p in rows if p.requires_grad or not trainable_only)


@mistake(
    "count_parameters",
    "A layer that is used twice is counted twice. It is one layer: model.parameters() lists it once.",
    slide=MODULE,
)
def shared_counted_for_each_name(model: nn.Module, trainable_only: bool = True) -> int:
    rows = model.named_parameters(remove_duplicate=False)
    return sum(p.numel() for _, p in rows if p.requires_grad or not trainable_only)


@mistake("count_parameters", "The model's layers are walked, and layers inside layers missed.", slide=MODULE)
def children_only(model: nn.Module, trainable_only: bool = True) -> int:
    rows = [p for m in model.children() for p in m.parameters(recurse=False)]
    return sum(p.numel() for p in rows if p.requires_grad or not trainable_only)


@mistake(
    "count_parameters",
    "Only nn.Linear layers are counted. Other modules, and the model itself, have parameters too.",
    slide=MODULE,
)
def linear_layers_only(model: nn.Module, trainable_only: bool = True) -> int:
    rows = [p for m in model.modules() if isinstance(m, nn.Linear) for p in m.parameters()]
    return sum(p.numel() for p in rows if p.requires_grad or not trainable_only)


# ---------------------------------------------------------------- collapse

mistake.named("collapse", "missing_return", message="None came back: a return is missing.", slide=NESTING)
mistake.named(
    "collapse",
    "nothing_copied",
    message="The new layer keeps its random numbers: two calls give two layers.",
    hint="with torch.no_grad(): C.weight.copy_(B.weight @ A.weight)",
    slide=NESTING,
)
mistake.named(
    "collapse",
    "two_layers",
    message="These are still two layers. One nn.Linear does the same: multiply the weights.",
    hint="weight = B.weight @ A.weight",
    slide=NESTING,
)
mistake.named(
    "collapse",
    "numbers_not_layer",
    message="These are the numbers. Put them into a new nn.Linear and return that.",
    hint="C = nn.Linear(A.in_features, B.out_features); with torch.no_grad(): C.weight.copy_(…)",
    slide=NESTING,
)
mistake.named(
    "collapse",
    "sizes_turned",
    message="in and out have changed places: C goes from A.in_features to B.out_features.",
    hint="nn.Linear(A.in_features, B.out_features)",
    slide=NESTING,
)
mistake.named(
    "collapse",
    "changes_layers",
    message="The call changed A or B. Compute with their numbers and write into a new layer.",
    slide=NESTING,
)


def _new(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(torch.zeros(weight.shape[0]) if bias is None else bias)
    return layer


def _bias(layer: nn.Linear) -> Tensor:
    return torch.zeros(layer.out_features) if layer.bias is None else layer.bias


@mistake(
    "collapse",
    "W_B · b_A is missing: B also multiplies the bias of A.",
    slide=NESTING,
    hint="bias = B.weight @ A.bias + B.bias",
)
def first_bias_forgotten(A: nn.Linear, B: nn.Linear) -> nn.Linear:
    return _new(B.weight @ A.weight, _bias(B))


@mistake("collapse", "Both biases are lost.", slide=NESTING, hint="bias = B.weight @ A.bias + B.bias")
def no_bias(A: nn.Linear, B: nn.Linear) -> nn.Linear:
    return _new(B.weight @ A.weight, None)


@mistake("collapse", "The bias of B is missing.", slide=NESTING, hint="bias = B.weight @ A.bias + B.bias")
def second_bias_forgotten(A: nn.Linear, B: nn.Linear) -> nn.Linear:
    return _new(B.weight @ A.weight, B.weight @ _bias(A))


@mistake(
    "collapse",
    "If one layer has no bias the other one's is lost.",
    slide=NESTING,
    hint="Treat a missing bias as zeros.",
)
def bias_only_if_both(A: nn.Linear, B: nn.Linear) -> nn.Linear:
    both = A.bias is not None and B.bias is not None
    return _new(B.weight @ A.weight, B.weight @ A.bias + B.bias if both else None)


@mistake("collapse", "Without a bias in B the bias of A is lost.", slide=NESTING, hint="bias = W_B b_A + b_B")
def bias_only_with_second(A: nn.Linear, B: nn.Linear) -> nn.Linear:
    return _new(B.weight @ A.weight, None if B.bias is None else B.weight @ _bias(A) + B.bias)


@mistake("collapse", "Without a bias in A the bias of B is lost.", slide=NESTING, hint="bias = W_B b_A + b_B")
def bias_only_with_first(A: nn.Linear, B: nn.Linear) -> nn.Linear:
    return _new(B.weight @ A.weight, None if A.bias is None else B.weight @ A.bias + _bias(B))


mistake.on_error(
    "collapse",
    "weights_do_not_fit",
    error="RuntimeError",
    match="shapes cannot be multiplied|size mismatch|must match",
    message=(
        "The weights do not fit together in this order: A comes first, so its weight stands on the right."
    ),
    hint="B.weight @ A.weight is (out of B, in of A); the bias is B.weight @ A.bias + B.bias.",
    slide=NESTING,
)
mistake.on_error(
    "collapse",
    "bias_is_none",
    error="TypeError|AttributeError",
    match="NoneType",
    message="A layer without a bias has bias None, and None cannot be multiplied or added.",
    hint="if A.bias is not None: …",
    slide=NESTING,
)
mistake.on_error(
    "collapse",
    "tensor_for_parameter",
    error="TypeError",
    match="as parameter '(weight|bias)'",
    message="C.weight is an nn.Parameter and wants one: wrap the product, or write into C.weight.data.",
    hint="C.weight = nn.Parameter(B.weight @ A.weight), or copy_ under torch.no_grad()",
    slide=NESTING,
)
mistake.on_error(
    "collapse",
    "leaf_in_place",
    error="RuntimeError",
    match="leaf [Vv]ariable that requires grad|in-place operation",
    message="Parameters may only be written to without autograd.",
    hint="with torch.no_grad(): C.weight.copy_(B.weight @ A.weight)",
    slide=NESTING,
)

# ---------------------------------------------------------------- predict

for _id, _message, _hint in (
    ("missing_return", "None came back: a return is missing.", "return …"),
    (
        "argmax_over_samples",
        "argmax(dim=0) looks for the best sample of each class. Classes are dim=1.",
        "argmax(dim=1)",
    ),
    (
        "not_eval",
        "The model predicts in training mode: Dropout and BatchNorm would still be playing dice.",
        "model.eval() before model(X)",
    ),
    (
        "training_flag_only",
        "model.training = False reaches the model alone, not the layers inside it.",
        "model.eval()",
    ),
    ("graph_built", "The forward pass builds a graph: memory for nothing.", "with torch.no_grad():"),
    (
        "mode_not_restored",
        "The model stays in eval mode: the next training epoch would run without Dropout.",
        "was_training = model.training; …; model.train(was_training)",
    ),
    (
        "always_training",
        "The model is put into training mode at the end, although it was in eval mode before.",
        "model.train(was_training)",
    ),
):
    mistake.named("predict", _id, message=_message, hint=_hint, slide=OUTPUT)


def _scores(model: nn.Module, X: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = model.eval()(X)
    return result


@mistake(
    "predict", "argmax without dim is one number for the whole batch.", slide=OUTPUT, hint="argmax(dim=1)"
)
def argmax_of_everything(model: nn.Module, X: Tensor) -> Tensor:
    return _scores(model, X).argmax()


@mistake("predict", "This is the class with the lowest score.", slide=OUTPUT, hint="argmax(dim=1)")
def argmin(model: nn.Module, X: Tensor) -> Tensor:
    return _scores(model, X).argmin(dim=1)


@mistake("predict", "Classes count from 0, not from 1 as in the slide's table.", slide=OUTPUT)
def from_one(model: nn.Module, X: Tensor) -> Tensor:
    return _scores(model, X).argmax(dim=1) + 1


@mistake("predict", "The scores come back, not the classes.", slide=OUTPUT, hint="argmax(dim=1)")
def scores(model: nn.Module, X: Tensor) -> Tensor:
    return _scores(model, X)


@mistake("predict", "The probabilities come back, not the classes.", slide=OUTPUT, hint="argmax(dim=1)")
def probabilities(model: nn.Module, X: Tensor) -> Tensor:
    return _scores(model, X).softmax(dim=1)


@mistake(
    "predict",
    "These are the highest scores. max returns (values, indices): the classes are the indices.",
    slide=OUTPUT,
    hint="argmax(dim=1)",
)
def best_scores(model: nn.Module, X: Tensor) -> Tensor:
    return _scores(model, X).max(dim=1).values


mistake.named(
    "predict",
    "values_and_indices",
    message="max returns (values, indices): only the indices are the classes.",
    hint="argmax(dim=1)",
    slide=OUTPUT,
)


@mistake("predict", "The result is a column (N, 1). It is (N,).", slide=OUTPUT, hint="without keepdim")
def column(model: nn.Module, X: Tensor) -> Tensor:
    return _scores(model, X).argmax(dim=1, keepdim=True)


@mistake(
    "predict",
    "squeeze() makes one number of a batch of one. The result is (N,), also for N = 1.",
    slide=OUTPUT,
)
def squeezed(model: nn.Module, X: Tensor) -> Tensor:
    return _scores(model, X).argmax(dim=1, keepdim=True).squeeze()


@mistake("predict", "Softmax over dim=0 compares samples with each other. Classes are dim=1.", slide=OUTPUT)
def softmax_over_samples(model: nn.Module, X: Tensor) -> Tensor:
    return _scores(model, X).softmax(dim=0).argmax(dim=1)


@mistake("predict", "This is one-hot. The result holds class numbers.", slide=OUTPUT, hint="argmax(dim=1)")
def one_hot(model: nn.Module, X: Tensor) -> Tensor:
    found = _scores(model, X)
    return F.one_hot(found.argmax(dim=1), found.shape[1])


mistake.on_error(
    "predict",
    "numpy_on_graph",
    error="RuntimeError",
    match="Can't call numpy\\(\\)",
    message="The scores still carry a graph: predict under torch.no_grad().",
    hint="with torch.no_grad():",
    slide=OUTPUT,
)
