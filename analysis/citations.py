"""What a methods paragraph cites, in full."""

from collections.abc import Mapping

REFERENCES: Mapping[str, str] = {
    "Bonett and Wright (2000)": "Bonett, D. G., & Wright, T. A. (2000). Sample size"
    " requirements for estimating Pearson, Kendall and Spearman correlations."
    " Psychometrika, 65, 23–28.",
    "Borowski et al. (2021)": "Borowski, J., Zimmermann, R. S., Schepers, J., Geirhos,"
    " R., Wallis, T. S. A., Bethge, M., & Brendel, W. (2021). Exemplary natural images"
    " explain CNN activations better than state-of-the-art feature visualization."
    " ICLR.",
    "Gelbach and Miller (2011)": "Cameron, A. C., Gelbach, J. B., & Miller,"
    " D. L. (2011). Robust inference with multiway clustering. Journal of Business &"
    " Economic Statistics, 29, 238–249.",
    "Conover (1999)": "Conover, W. J. (1999). Practical nonparametric statistics (3rd"
    " ed.). Wiley.",
    "Efron (1987)": "Efron, B. (1987). Better bootstrap confidence intervals. Journal"
    " of the American Statistical Association, 82, 171–185.",
    "Hautus (1995)": "Hautus, M. J. (1995). Corrections for extreme proportions and"
    " their biasing effects on estimated values of d'. Behavior Research Methods,"
    " Instruments, & Computers, 27, 46–51.",
    "Hesterberg (2015)": "Hesterberg, T. C. (2015). What teachers should know about the"
    " bootstrap: Resampling in the undergraduate statistics curriculum. The American"
    " Statistician, 69, 371–386.",
    "Holm (1979)": "Holm, S. (1979). A simple sequentially rejective multiple test"
    " procedure. Scandinavian Journal of Statistics, 6, 65–70.",
    "Jonckheere (1954)": "Jonckheere, A. R. (1954). A distribution-free k-sample test"
    " against ordered alternatives. Biometrika, 41, 133–145.",
    "Kruskal and Wallis (1952)": "Kruskal, W. H., & Wallis, W. A. (1952). Use of ranks"
    " in one-criterion variance analysis. Journal of the American Statistical"
    " Association, 47, 583–621.",
    "Macmillan and Creelman (2005)": "Macmillan, N. A., & Creelman, C. D. (2005)."
    " Detection theory: A user’s guide (2nd ed.). Erlbaum.",
    "Miller (1974)": "Miller, R. G. (1974). The jackknife – a review. Biometrika, 61,"
    " 1–15.",
    "Owen (2007)": "Owen, A. B. (2007). The pigeonhole bootstrap. Annals of Applied"
    " Statistics, 1, 386–411.",
    "Seabold and Perktold (2010)": "Seabold, S., & Perktold, J. (2010). statsmodels:"
    " Econometric and statistical modeling with Python. Proceedings of the 9th Python"
    " in Science Conference.",
    "Steegen et al. (2016)": "Steegen, S., Tuerlinckx, F., Gelman, A., & Vanpaemel, W."
    " (2016). Increasing transparency through a multiverse analysis. Perspectives on"
    " Psychological Science, 11, 702–712.",
    "Steiger (1980)": "Steiger, J. H. (1980). Tests for comparing elements of a"
    " correlation matrix. Psychological Bulletin, 87, 245–251.",
    "Terpilowski (2019)": "Terpilowski, M. (2019). scikit-posthocs: Pairwise multiple"
    " comparison tests in Python. Journal of Open Source Software, 4, 1169.",
    "Virtanen et al. (2020)": "Virtanen, P., et al. (2020). SciPy 1.0: Fundamental"
    " algorithms for scientific computing in Python. Nature Methods, 17, 261–272.",
    "Williams (1959)": "Williams, E. J. (1959). The comparison of regression variables."
    " Journal of the Royal Statistical Society B, 21, 396–399.",
    "Wilson (1927)": "Wilson, E. B. (1927). Probable inference, the law of succession,"
    " and statistical inference. Journal of the American Statistical Association, 22,"
    " 209–212.",
    "Zimmermann et al. (2023)": "Zimmermann, R. S., Klein, T., & Brendel, W. (2023)."
    " Scale alone does not improve mechanistic interpretability in vision models."
    " NeurIPS.",
    "Zimmermann et al. (2024)": "Zimmermann, R. S., Klindt, D. A., & Brendel, W."
    " (2024). Measuring per-unit interpretability at scale without humans. NeurIPS.",
}
"""Short form, as it stands in a methods paragraph, to the whole reference."""


def references(methods: str) -> list[str]:
    """Return the references that a methods paragraph cites, by name."""
    return [whole for short, whole in REFERENCES.items() if short in methods]
