"""A classifier without training: what it tells apart, a learner can."""


def nearest_mean_error(splits):
    """Give each test sample the class whose training mean is nearest; return the share of wrong ones."""
    x, y = splits.train.x.flatten(1), splits.train.y
    counts = y.bincount()
    means = x.new_zeros(len(counts), x.shape[1]).index_add_(0, y, x) / counts[:, None]
    nearest = (splits.test.x.flatten(1) @ means.T - means.square().sum(1) / 2).argmax(1)
    return (nearest != splits.test.y).double().mean().item()
