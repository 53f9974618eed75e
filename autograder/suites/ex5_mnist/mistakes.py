"""Known wrong answers of exercise 5 and what a student is told about each.

All are named by a check or recognised by an exception: what counts here is what happens, not one number.
"""

from __future__ import annotations

from autograder import mistake

LOAD = "01.09 Classification: steps 1 and 3"
SPLIT = "01.09 Classification: step 4"
SCALE = "01.09 Classification: step 2"
MLP = "01.09 Classification: multi-layer perceptron"
FIT = "01.09 Classification: step 4, early stopping"
EVALUATE = "01.09 Classification: validation and test"

_TENSORS = (
    "This is a torch tensor. Data are prepared in numpy here and become tensors when the network is trained."
)

# ---------------------------------------------------------------- load_mnist

mistake.on_error(
    "load_mnist",
    "as_integer_of_texts",
    error="TypeError",
    match="numpy.object_|can't convert np.ndarray of type",
    message="torch cannot hold texts: the labels come as '0' … '9'. Convert them with numpy first.",
    hint="mnist.target.astype(np.int64)",
    slide=LOAD,
)
mistake.on_error(
    "load_mnist",
    "version_positional",
    error="TypeError",
    match="positional argument",
    message="fetch_openml takes only the name by position: version=1 and as_frame=False are given by name.",
    slide=LOAD,
)
for _id, _message, _hint in (
    (
        "ignores_fetch",
        "Use the argument fetch, not fetch_openml itself: the grader passes a fetcher of its own.",
        'fetch("mnist_784", version=1, as_frame=False)',
    ),
    (
        "other_data_set",
        "The data set is called 'mnist_784' at OpenML.",
        "The slide prints MINST; it is MNIST.",
    ),
    (
        "version_left_out",
        "Without version=1 you get whichever version is active on the day you run it.",
        "version=1, as on the slide",
    ),
    (
        "as_frame_left_out",
        "Without as_frame=False it is a pandas DataFrame with 784 columns; the slide asks for arrays.",
        "as_frame=False, as on the slide",
    ),
    (
        "labels_are_strings",
        "The labels are texts ('5', not 5): OpenML delivers them so. Convert them: .astype(np.int64).",
        "'5' == 5 is False, and cross-entropy wants numbers.",
    ),
    ("labels_are_floats", "The labels are floats. Classes are whole numbers: int64.", ".astype(np.int64)"),
    ("labels_not_int64", "Cross-entropy wants the classes as int64.", ".astype(np.int64)"),
    ("one_hot_labels", "y is one-hot. nn.CrossEntropyLoss takes class numbers, shape (N,).", ""),
    ("column", "y is a column, (N, 1). Class numbers have shape (N,).", "No reshape(-1, 1)."),
    (
        "float64_left",
        "X is float64: 8 bytes for a pixel that fits into one. Deep learning uses float32.",
        ".astype(np.float32)",
    ),
    ("integers_left", "X holds integers. The network computes with float32.", ".astype(np.float32)"),
    (
        "divided",
        "The pixels are divided by 255 already. load_mnist hands on 0 … 255; the scaler divides.",
        "",
    ),
    (
        "normalised",
        "The pixels are normalised here already, with statistics of all digits: the test set has leaked.",
        "First split, then normalise.",
    ),
    ("images", "X holds images. An MLP takes rows of 784 pixels.", "Leave the shape as it comes, (N, 784)."),
    ("transposed", "X is (784, N): each row is one digit, (N, 784).", "No .T"),
    ("swapped", "The labels come first. Return X, y.", "return X, y"),
    ("tensors_returned", _TENSORS, "Return numpy arrays."),
):
    mistake.named("load_mnist", _id, message=_message, hint=_hint, slide=LOAD)

# ---------------------------------------------------------------- split

for _id, _message, _hint in (
    (
        "no_shuffle",
        "The rows were not shuffled: if the data are sorted by class, one class is only in the test set.",
        "One permutation of the row numbers, before cutting.",
    ),
    (
        "shuffled_apart",
        "X and y were shuffled separately: images got the labels of other images.",
        "One permutation for both: rows = rng.permutation(N); X[rows], y[rows]",
    ),
    (
        "overlap",
        "A row is in two sets: what the network has trained on is no test. That is a leak.",
        "Cut one permutation into three pieces.",
    ),
    (
        "with_replacement",
        "A row is there twice: rows were drawn with replacement.",
        "permutation, not choice or randint",
    ),
    (
        "rows_lost",
        "Some rows are in none of the three sets. What rounding leaves over belongs to one of them.",
        "The last piece goes to the end: rows[a:b], rows[b:].",
    ),
    ("rows_changed", "A row came out changed: split only distributes rows.", "Scaling comes later."),
    ("unequal_lengths", "X and y of one set have different lengths.", "Cut both at the same places."),
    ("fractions_ignored", "It is 80/10/10 whatever fractions says.", "train, val, test = fractions"),
    (
        "val_and_test_swapped",
        "The second and the third set have changed places: the order is train, val, test.",
        "",
    ),
    ("train_and_test_swapped", "Train and test have changed places: the order is train, val, test.", ""),
    (
        "fraction_of_the_rest",
        (
            "The second cut took its fraction of the rest, not of everything: 0.1 of the remaining 0.2 "
            "is 0.02."
        ),
        "With train_test_split twice: test_size=test / (val + test) in the second call.",
    ),
    (
        "grouped_by_kind",
        "The order is X_train, y_train, X_val, y_val, X_test, y_test, set by set.",
        "train_test_split returns all X first: unpack and put in order.",
    ),
    (
        "seed_ignored",
        "Another seed gives the same split: seed is not used.",
        "np.random.default_rng(seed)",
    ),
    (
        "not_reproducible",
        "The same seed gives another split each time. Nobody can repeat your experiment.",
        "np.random.default_rng(seed), or random_state=seed in every call",
    ),
    (
        "shuffles_in_place",
        "The caller's X or y is in another order now: np.random.shuffle works in place.",
        "rng.permutation(N) gives row numbers; X[rows] is a new array.",
    ),
    ("cast", "The dtype has changed on the way. split hands on the rows as they are.", ""),
    ("tensors_returned", _TENSORS, "Return numpy arrays."),
):
    mistake.named("split", _id, message=_message, hint=_hint, slide=SPLIT)

# ---------------------------------------------------------------- scaler

for _id, _message, _hint in (
    (
        "own_statistics",
        (
            "The set was normalised with its own mean and spread. mu and sigma come from the training "
            "set and are used for all sets."
        ),
        "apply_scaler uses its arguments mu and sigma and computes no mean of its own.",
    ),
    ("own_mean", "The set was centred with its own mean. Use the argument mu.", ""),
    (
        "per_sample",
        "Each image was normalised by itself. mu and sigma are taken over the images, not within one.",
        "X.mean() or X.mean(axis=0), not axis=1",
    ),
    (
        "raw_statistics",
        "mu and sigma are those of the pixels 0 … 255. They belong to X/255: divide first.",
        "255 exactly once in each of the two functions",
    ),
    ("raw_mean", "mu is that of the pixels 0 … 255. It belongs to X/255.", "X = X / 255, then both."),
    ("raw_sigma", "sigma is that of the pixels 0 … 255. It belongs to X/255.", "X = X / 255, then both."),
    ("divided_twice", "fit_scaler divides by 255 twice.", "255 exactly once in each function"),
    ("variance", "sigma is the variance. Take the root: the standard deviation.", "np.std"),
    ("returned_swapped", "sigma comes first. Return mu, sigma.", "return mu, sigma"),
    ("min_max", "That is the smallest and the largest value. Here it is mean and standard deviation.", ""),
    ("median", "mu is the median, not the mean.", "np.mean"),
    ("no_centre", "mu is 0. It is the mean of X_train/255.", ""),
    ("mean_square", "sigma is the root of the mean square: mu was not subtracted first.", "np.std"),
    ("sum_not_mean", "mu is a sum. Divide by the number of values.", "np.mean"),
    (
        "not_divided",
        "apply_scaler forgets to divide by 255: mu and sigma belong to X/255.",
        "(X / 255 - mu) / sigma",
    ),
    ("applied_twice_255", "apply_scaler divides by 255 twice.", "(X / 255 - mu) / sigma"),
    (
        "only_divided",
        "apply_scaler divides by 255 and stops: mu and sigma are not used.",
        "(X / 255 - mu) / sigma",
    ),
    ("not_shifted", "apply_scaler does not subtract mu.", "(X / 255 - mu) / sigma"),
    ("not_scaled", "apply_scaler does not divide by sigma.", "(X / 255 - mu) / sigma"),
    ("times_sigma", "apply_scaler multiplies by sigma. Divide by it.", "(X / 255 - mu) / sigma"),
    ("by_variance", "apply_scaler divides by sigma squared.", "(X / 255 - mu) / sigma"),
    ("by_root", "apply_scaler divides by the root of sigma: sigma is no variance.", "(X / 255 - mu) / sigma"),
    (
        "parentheses",
        "X/255 - mu/sigma is something else: the division comes before the minus.",
        "(X / 255 - mu) / sigma",
    ),
    ("plus_mu", "mu is added. Subtract it.", "(X / 255 - mu) / sigma"),
    (
        "integer_division",
        "// cuts off everything after the point: all but pure white becomes 0. Use /.",
        "(X / 255 - mu) / sigma",
    ),
    (
        "divided_last",
        "The division by 255 comes last. mu and sigma belong to X/255: divide X first.",
        "(X / 255 - mu) / sigma",
    ),
    (
        "float64_out",
        "The result is float64: mu or sigma is a float64 number of numpy and takes X along.",
        ".astype(np.float32) at the end",
    ),
    (
        "nan_for_constant",
        (
            "A pixel that is the same in all images has sigma 0, and 0/0 is nan. One nan is enough to make "
            "every weight nan."
        ),
        "sigma = np.where(sigma == 0, 1, sigma), or sigma + 1e-8",
    ),
    (
        "in_place",
        "The caller's X was changed: X /= 255 works in place. The second call divides again.",
        "X = X / 255 makes a new array.",
    ),
    ("tensors_returned", _TENSORS, "Return a numpy array."),
):
    mistake.named("scaler", _id, message=_message, hint=_hint, slide=SCALE)
mistake.on_error(
    "scaler",
    "in_place_on_integers",
    error="UFuncTypeError|_UFuncOutputCastingError|TypeError",
    match="Cannot cast ufunc",
    message="X /= 255 cannot write fractions into an array of whole numbers. X = X / 255 makes a new one.",
    slide=SCALE,
)

# ---------------------------------------------------------------- mlp

mistake.on_error(
    "mlp",
    "no_super",
    error="AttributeError",
    match=r"before Module.__init__\(\) call|has no attribute '_(modules|parameters)'",
    message="super().__init__() is missing: it comes first in __init__.",
    slide=MLP,
)
mistake.on_error(
    "mlp",
    "no_forward",
    error="NotImplementedError",
    match='missing the required "forward" function',
    message="The class has no forward. Is it spelled so, and indented like __init__?",
    slide=MLP,
)
mistake.on_error(
    "mlp",
    "layers_do_not_fit",
    error="RuntimeError",
    match="shapes cannot be multiplied",
    message="A layer gets another number of inputs than it expects. The sizes are 784, 128, 64, 10.",
    hint="The first layer takes 28·28 = 784; each further one takes what the one before gives.",
    slide=MLP,
)
mistake.on_error(
    "mlp",
    "layer_of_strings",
    error="TypeError",
    match="argument 'input' .* must be Tensor, not (ReLU|Linear|Sequential|Dropout)",
    message="nn.ReLU(x) makes a layer, it does not apply one. Use F.relu(x), or nn.ReLU()(x).",
    slide=MLP,
)
mistake.on_error(
    "mlp",
    "arguments_needed",
    error="TypeError",
    match=r"__init__\(\) missing",
    message="MLP() is made without arguments: the sizes are fixed, 784-128-64-10.",
    slide=MLP,
)
for _id, _message, _hint in (
    (
        "missing_return",
        "forward returns nothing. On the slide 'return x' has lost its indent: it belongs into forward.",
        "return x, indented like the lines above it",
    ),
    (
        "softmax_at_the_end",
        "forward must return logits: cross-entropy contains the softmax, and twice is too much.",
        "The last line is the last Linear layer, nothing after it.",
    ),
    (
        "softmax_over_batch",
        "A softmax over the images (dim=0) comes last: the scores of one image depend on the others.",
        "No softmax in forward.",
    ),
    (
        "activation_at_the_end",
        "An activation comes after the last layer. Logits may be any numbers.",
        "The last line is the last Linear layer, nothing after it.",
    ),
    (
        "no_activation",
        "There is no activation between the layers: three linear layers are one linear layer.",
        "F.relu after the first and after the second layer",
    ),
    (
        "one_activation",
        "One of the two activations is missing: two linear layers in a row are one.",
        "F.relu after the first and after the second layer",
    ),
    ("other_activation", "The activation between the layers is not ReLU.", "F.relu"),
    (
        "no_parameters",
        "The network has no parameters. Are the layers made in __init__, as attributes?",
        "self.fc1 = …",
    ),
    ("no_bias", "The layers have no bias.", "nn.Linear(784, 128) has one unless you say bias=False."),
    ("layer_missing", "A layer is missing: there are three, 784-128, 128-64 and 64-10.", ""),
    ("too_many_layers", "There are more layers than three: 784-128, 128-64 and 64-10.", ""),
    ("frozen", "A parameter has requires_grad=False: it will never learn.", ""),
    (
        "graph_cut",
        "The scores are cut off from the parameters: nothing can be learned through them.",
        "No .detach(), .data, .numpy() or no_grad in forward.",
    ),
    (
        "other_scores_each_time",
        "In evaluation mode the network is random too: a layer is new each time, or dropout is on.",
        "Layers are made in __init__; nn.Dropout knows the mode, F.dropout needs training=self.training.",
    ),
):
    mistake.named("mlp", _id, message=_message, hint=_hint, slide=MLP)

# ---------------------------------------------------------------- fit

mistake.on_error(
    "fit",
    "evaluate_shadowed",
    error="TypeError",
    match="'NoneType' object is not callable",
    message="evaluate is None when nobody passes one: then fit computes the validation loss itself.",
    hint="if evaluate is None: … else: evaluate(model, X_val, y_val)['loss']",
    slide=FIT,
)
mistake.on_error(
    "fit",
    "evaluate_gives_a_dict",
    error="TypeError",
    match="'dict' and|and 'dict'|must be real number, not dict|argument must be .* not 'dict'",
    message='evaluate returns a dict: take ["loss"] of it.',
    slide=FIT,
)
mistake.on_error(
    "fit",
    "pair_not_unpacked",
    error="AttributeError",
    match="'(tuple|list)' object has no attribute",
    message="train and val are pairs: X, y = train.",
    slide=FIT,
)
mistake.on_error(
    "fit",
    "best_is_none",
    error="TypeError|AttributeError",
    match="Expected state_dict to be dict-like|'NoneType' object has no attribute",
    message="There are no best weights yet: the first epoch must count as an improvement.",
    hint="best = float('inf') before the loop",
    slide=FIT,
)
mistake.on_error(
    "fit",
    "no_graph",
    error="RuntimeError",
    match="does not require grad",
    message="The loss is cut off from the parameters. Is torch.no_grad() still on?",
    hint="Only the validation belongs under no_grad.",
    slide=FIT,
)
mistake.on_error(
    "fit",
    "zero_division",
    error="ZeroDivisionError",
    message="There was no batch to average over: with N < batch_size there is one batch, with all samples.",
    hint="range(0, N, batch_size) includes the last, short batch.",
    slide=FIT,
)
for _id, _message, _hint in (
    ("no_forward", "The model that was passed in is never called.", "model(X_batch)"),
    (
        "changes_data",
        "fit changed train or val. They belong to the caller.",
        "No X -= …, no X.requires_grad_().",
    ),
    (
        "trains_on_val",
        "Samples of the validation set were trained on: what has been trained on cannot tell when to stop.",
        "Validation: model.eval(), torch.no_grad(), no backward, no step.",
    ),
    ("no_step", "No optimizer makes a step: backward alone changes nothing.", "opt.step()"),
    (
        "best_is_start",
        "Training is undone: the weights restored at the end are those from before training.",
        "Save the weights after the epoch, not before the loop.",
    ),
    (
        "drops_last_batch",
        "With fewer samples than batch_size nothing is trained: the last batch may be short.",
        "drop_last=False; range(0, N, batch_size)",
    ),
    ("ignores_batch_size", "A batch is larger than batch_size.", "rows[start : start + batch_size]"),
    (
        "one_batch_per_epoch",
        "Each epoch is one batch. An epoch goes through all samples.",
        "A loop over the batches.",
    ),
    ("one_epoch", "There is one epoch only.", "A loop over the epochs around the loop over the batches."),
    ("lr_ignored", "lr is not used.", "torch.optim.Adam(model.parameters(), lr=lr)"),
    (
        "parameters_left_out",
        "Some parameters never move: the optimizer has only a part of them.",
        "model.parameters()",
    ),
    (
        "no_zero_grad",
        "The gradients are never cleared: each step uses the sum of all gradients so far.",
        "opt.zero_grad(), once for every step.",
    ),
    (
        "zeroed_before_step",
        "The gradients are cleared between backward and step: the step finds nothing.",
        "zero_grad, forward, loss, backward, step",
    ),
    (
        "step_before_backward",
        "step comes before backward: it uses the gradient of the batch before, or none at all.",
        "zero_grad, forward, loss, backward, step",
    ),
    ("loss_negated", "The loss is made larger: backward ran on -loss.", "loss.backward()"),
    (
        "softmax_before_loss",
        "Softmax before cross-entropy: the loss takes logits and does the softmax itself.",
        "F.cross_entropy(model(X_batch), y_batch)",
    ),
    (
        "not_the_gradient",
        "The gradients do not fit the batch: were X and y shuffled separately, or is it another loss?",
        "One permutation rows for both: X[rows], y[rows]; F.cross_entropy.",
    ),
    (
        "no_early_stopping",
        "It never stops early, although the validation loss no longer improves.",
        "Count the epochs without improvement; at patience, break.",
    ),
    (
        "monitors_train_loss",
        "Stopping goes by the training loss. That one falls even while the network learns by heart.",
        "Compare validation losses.",
    ),
    ("monitors_accuracy", "Stopping goes by the accuracy. Here it is the validation loss.", '["loss"]'),
    (
        "against_previous",
        "Each epoch is compared with the one before. Compare it with the best one so far.",
        "if loss < best: best = loss",
    ),
    (
        "patience_not_reset",
        "The count of bad epochs is never reset: after an improvement it starts at 0 again.",
        "bad = 0 where the loss is better",
    ),
    (
        "epochs_one_more",
        "It trains one epoch more than epochs says.",
        "for epoch in range(epochs)",
    ),
    (
        "epochs_one_less",
        "It trains one epoch less than epochs says.",
        "for epoch in range(epochs): range(1, epochs) is one short.",
    ),
    (
        "one_epoch_late",
        "It stops one epoch too late: with patience 2, the second epoch without improvement is the last.",
        "bad += 1, then if bad >= patience: break",
    ),
    (
        "one_epoch_early",
        "It stops one epoch too early: with patience 2, two epochs without improvement are trained.",
        "bad += 1, then if bad >= patience: break",
    ),
    ("patience_ignored", "It stops at the first epoch that is no better: patience is not used.", ""),
    ("larger_is_better", "A larger loss counts as better. Smaller is better.", "if loss < best"),
    (
        "state_dict_alias",
        (
            "state_dict() points to the tensors that training goes on changing: the saved weights change "
            "along. Copy them."
        ),
        "copy.deepcopy(model.state_dict()), or {k: v.clone() for k, v in …}",
    ),
    (
        "best_not_restored",
        "The model keeps the weights of the last epoch. The best ones must be put back.",
        "model.load_state_dict(best_state) at the end",
    ),
    (
        "restored_only_on_stop",
        "The best weights are put back only when it stops early. They must be after the last epoch too.",
        "load_state_dict after the loop, not before break",
    ),
    (
        "other_epoch_restored",
        "The weights of another epoch were put back, not those of the best one.",
        "Save them right where the loss is better.",
    ),
    ("keeps_graph", "The history holds tensors with their graph: memory fills up.", "loss.item()"),
    ("accuracy_in_history", "val_loss holds the accuracies.", 'evaluate(…)["loss"]'),
    ("best_loss_only", "val_loss holds the best loss so far. It is the loss of each epoch.", ""),
    (
        "last_epoch_missing",
        "The last epoch is missing in the history: append before break.",
        "First append, then decide.",
    ),
    ("train_loss_per_batch", "train_loss has one number for each batch. It is one an epoch.", "The mean."),
    (
        "sum_of_losses",
        "The losses of the batches are summed and not divided.",
        "Divide by the number of samples.",
    ),
    (
        "evaluate_ignored",
        "evaluate was passed in and never called: then the validation loss comes from it.",
        'evaluate(model, X_val, y_val)["loss"]',
    ),
    (
        "evaluate_other_data",
        "evaluate was called on something else than the model and the whole validation set.",
        "evaluate(model, X_val, y_val)",
    ),
    (
        "evaluates_before_training",
        "The validation loss is taken before each epoch: the last epoch is never judged.",
        "Train the epoch, then evaluate.",
    ),
    (
        "evaluated_too_often",
        "evaluate is called more than once an epoch.",
        "After the loop over the batches.",
    ),
    ("eval_mode", "The model is trained in evaluation mode: dropout would be off.", "model.train()"),
    (
        "stays_in_eval_mode",
        "After the first validation the model stays in evaluation mode: dropout would be off.",
        "model.train() at the start of each epoch, not once before the loop",
    ),
    (
        "val_in_training_mode",
        "The validation loss is computed in training mode: dropout would make it random.",
        "model.eval() before it",
    ),
    (
        "val_with_graph",
        "The validation builds a graph that nobody needs: time and memory for nothing.",
        "with torch.no_grad():",
    ),
    (
        "no_own_validation",
        "Without evaluate the validation set is never looked at: fit computes the loss itself then.",
        "F.cross_entropy(model(X_val), y_val)",
    ),
    (
        "nll_on_logits",
        "nll_loss wants logarithms of probabilities and got logits: the loss becomes negative.",
        "F.cross_entropy(scores, y)",
    ),
):
    mistake.named("fit", _id, message=_message, hint=_hint, slide=FIT)

# ---------------------------------------------------------------- evaluate

mistake.on_error(
    "evaluate",
    "argmax_over_samples",
    error="IndexError|RuntimeError|ValueError",
    match="out of bounds for dimension 1|must match the size of tensor|inconsistent numbers of samples",
    message="argmax(dim=0) finds the best image for each digit. You want the best digit for each image.",
    hint="argmax(dim=1)",
    slide=EVALUATE,
)
mistake.on_error(
    "evaluate",
    "numpy_on_graph",
    error="RuntimeError",
    match=r"Can't call numpy\(\) on Tensor that requires grad",
    message="The scores still carry their graph: compute them under torch.no_grad().",
    slide=EVALUATE,
)
for _id, _message, _hint in (
    (
        "training_failed",
        "evaluate may be right, but your MLP could not be trained with your fit.",
        "Mend the tasks mlp and fit first: their checks say what is wrong.",
    ),
    ("keeps_graph", "A number of the result carries its graph.", ".item()"),
    ("percent", "The accuracy is in percent. It is a share, from 0 to 1.", ""),
    ("count", "That is how many are right, not their share.", "Divide by len(y)."),
    ("error_rate", "That is the share of errors.", "== instead of !="),
    (
        "divided_by_classes",
        "The hits are divided by the ten classes. Divide by the number of samples.",
        "len(y)",
    ),
    ("summed", "The losses are summed. Take the mean.", "F.cross_entropy does, unless reduction='sum'."),
    (
        "nll_on_logits",
        "nll_loss wants logarithms of probabilities and got logits.",
        "F.cross_entropy(scores, y)",
    ),
    (
        "softmax_before_loss",
        "Softmax before cross-entropy: the loss takes logits and does the softmax itself.",
        "F.cross_entropy(scores, y)",
    ),
    ("sign_missing", "The sign is wrong: the loss is -log p.", ""),
    (
        "mean_over_everything",
        "The mean runs over all ten classes of each sample.",
        "Divide by N, not by 10·N.",
    ),
    (
        "mean_of_batches",
        "The mean of batch means counts the short last batch as much as a full one.",
        "Weight each batch with its size.",
    ),
    ("sum_of_batches", "The losses of the batches are summed and not divided.", "Divide by N."),
    ("last_batch_only", "The loss is that of the last batch.", ""),
    (
        "columns_are_truth",
        "Rows and columns have changed places: row = true digit, column = guess.",
        "confusion[truth, guess] += 1",
    ),
    (
        "only_present_classes",
        "Digits that do not occur have lost their row: the table is 10 x 10, always.",
        "labels=range(10) in scikit-learn's confusion_matrix; minlength=100 in bincount",
    ),
    ("shares", "The table holds shares. It holds counts.", "No normalize."),
    (
        "not_whole_numbers",
        "The counts are floats. They are whole numbers, int64.",
        "torch.zeros(10, 10, dtype=torch.int64)",
    ),
    (
        "memory_not_filled",
        "Counting starts from whatever the memory holds: empty makes a table and does not fill it.",
        "Start with zeros: torch.zeros(10, 10, dtype=torch.int64) or np.zeros((10, 10), dtype=int).",
    ),
    (
        "counted_once",
        "Each cell is counted once at most: confusion[y, guess] += 1 with repeated indices adds only once.",
        "A loop, np.add.at, or bincount(10 * y + guess, minlength=100).",
    ),
    ("only_errors", "The hits are missing: they are on the diagonal.", ""),
    ("only_hits", "The errors are missing: they are off the diagonal.", ""),
    ("not_all_counted", "Not every sample is counted, or some are twice.", "The entries sum to len(y)."),
    ("training_mode", "Measure in evaluation mode: dropout would make the result random.", "model.eval()"),
    ("graph_built", "Measuring needs no gradients: they cost time and memory.", "with torch.no_grad():"),
    ("changes_model", "evaluate changes the model. It only looks.", "No backward, no step."),
    ("changes_data", "evaluate changes X or y. They belong to the caller.", "Make new tensors."),
):
    mistake.named("evaluate", _id, message=_message, hint=_hint, slide=EVALUATE)
