"""The sources that the report and its methods cite, by the words of the citation."""

__all__ = ["REFERENCES", "cited"]

REFERENCES = {
    "Ahonen et al. 2006": "Ahonen T., Hadid A., Pietikäinen M. Face description with local binary patterns: "
    "application to face recognition. IEEE Transactions on Pattern Analysis and Machine Intelligence 28 (2006), "
    "2037–2041.",
    "Akiba et al. 2019": "Akiba T., Sano S., Yanase T., Ohta T., Koyama M. Optuna: a next-generation hyperparameter "
    "optimization framework. KDD 2019. arXiv:1907.10902.",
    "Arevalo et al. 2017": "Arevalo J., Solorio T., Montes-y-Gómez M., González F. A. Gated multimodal units for "
    "information fusion. ICLR 2017 workshop. arXiv:1702.01992.",
    "Bergstra et al. 2011": "Bergstra J., Bardenet R., Bengio Y., Kégl B. Algorithms for hyper-parameter optimization. "
    "NIPS 2011.",
    "Bouckaert & Frank 2004": "Bouckaert R. R., Frank E. Evaluating the replicability of significance tests for "
    "comparing learning algorithms. PAKDD 2004.",
    "Breiman 1996": "Breiman L. Bagging predictors. Machine Learning 24 (1996), 123–140.",
    "Brier 1950": "Brier G. W. Verification of forecasts expressed in terms of probability. Monthly Weather Review 78 "
    "(1950), 1–3.",
    "Cao et al. 2019": "Cao K., Wei C., Gaidon A., Arechiga N., Ma T. Learning imbalanced datasets with "
    "label-distribution-aware margin loss. NeurIPS 2019. arXiv:1906.07413.",
    "Caruana et al. 2004": "Caruana R., Niculescu-Mizil A., Crew G., Ksikes A. Ensemble selection from libraries of "
    "models. ICML 2004.",
    "Connor 1987": "Connor R. J. Sample size for testing differences in proportions for the paired-sample design. "
    "Biometrics 43 (1987), 207–211.",
    "Cortes & Vapnik 1995": "Cortes C., Vapnik V. Support-vector networks. Machine Learning 20 (1995), 273–297.",
    "Cui et al. 2019": "Cui Y., Jia M., Lin T.-Y., Song Y., Belongie S. Class-balanced loss based on effective number "
    "of samples. CVPR 2019. arXiv:1901.05555.",
    "Dalal & Triggs 2005": "Dalal N., Triggs B. Histograms of oriented gradients for human detection. CVPR 2005.",
    "DeVries & Taylor 2017": "DeVries T., Taylor G. W. Improved regularization of convolutional neural networks with "
    "cutout. arXiv:1708.04552 (2017).",
    "DeLong et al. 1988": "DeLong E. R., DeLong D. M., Clarke-Pearson D. L. Comparing the areas under two or more "
    "correlated receiver operating characteristic curves. Biometrics 44 (1988), 837–845.",
    "Demšar 2006": "Demšar J. Statistical comparisons of classifiers over multiple data sets. Journal of Machine "
    "Learning Research 7 (2006), 1–30.",
    "Efron 1979": "Efron B. Bootstrap methods: another look at the jackknife. Annals of Statistics 7 (1979), 1–26.",
    "Field & Welsh 2007": "Field C. A., Welsh A. H. Bootstrapping clustered data. Journal of the Royal Statistical "
    "Society B 69 (2007), 369–390.",
    "Fisher 1935": "Fisher R. A. The design of experiments. Oliver & Boyd, 1935.",
    "Gallas 2006": "Gallas B. D. One-shot estimate of MRMC variance: AUC. Academic Radiology 13 (2006), 353–362.",
    "Geifman & El-Yaniv 2017": "Geifman Y., El-Yaniv R. Selective classification for deep neural networks. NeurIPS "
    "2017. arXiv:1705.08500.",
    "Guo et al. 2017": "Guo C., Pleiss G., Sun Y., Weinberger K. Q. On calibration of modern neural networks. ICML "
    "2017. arXiv:1706.04599.",
    "He et al. 2016": "He K., Zhang X., Ren S., Sun J. Deep residual learning for image recognition. CVPR 2016. "
    "arXiv:1512.03385.",
    "Hendrycks & Dietterich 2019": "Hendrycks D., Dietterich T. Benchmarking neural network robustness to common "
    "corruptions and perturbations. ICLR 2019. arXiv:1903.12261.",
    "Hillis 2007": "Hillis S. L. A comparison of denominator degrees of freedom methods for multiple observer ROC "
    "analysis. Statistics in Medicine 26 (2007), 596–619.",
    "Holm 1979": "Holm S. A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
    "Statistics 6 (1979), 65–70.",
    "Hou et al. 2021": "Hou Q., Zhou D., Feng J. Coordinate attention for efficient mobile network design. CVPR 2021. "
    "arXiv:2103.02907.",
    "Hu et al. 2018": "Hu J., Shen L., Sun G. Squeeze-and-excitation networks. CVPR 2018. arXiv:1709.01507.",
    "Huang et al. 2017": "Huang G., Liu Z., van der Maaten L., Weinberger K. Q. Densely connected convolutional "
    "networks. CVPR 2017. arXiv:1608.06993.",
    "Huang, Li et al. 2017": "Huang G., Li Y., Pleiss G., Liu Z., Hopcroft J. E., Weinberger K. Q. Snapshot ensembles: "
    "train 1, get M for free. ICLR 2017. arXiv:1704.00109.",
    "Hutter et al. 2014": "Hutter F., Hoos H., Leyton-Brown K. An efficient approach for assessing hyperparameter "
    "importance. ICML 2014.",
    "Ioffe & Szegedy 2015": "Ioffe S., Szegedy C. Batch normalization: accelerating deep network training by reducing "
    "internal covariate shift. ICML 2015. arXiv:1502.03167.",
    "Izmailov et al. 2018": "Izmailov P., Podoprikhin D., Garipov T., Vetrov D., Wilson A. G. Averaging weights leads "
    "to wider optima and better generalization. UAI 2018. arXiv:1803.05407.",
    "Kingma & Ba 2015": "Kingma D. P., Ba J. Adam: a method for stochastic optimization. ICLR 2015. arXiv:1412.6980.",
    "Korn & Graubard 1998": "Korn E. L., Graubard B. I. Confidence intervals for proportions with small expected "
    "number of positive counts estimated from survey data. Survey Methodology 24 (1998), 193–201.",
    "Kuncheva & Whitaker 2003": "Kuncheva L. I., Whitaker C. J. Measures of diversity in classifier ensembles and "
    "their relationship with the ensemble accuracy. Machine Learning 51 (2003), 181–207.",
    "Lin et al. 2017": "Lin T.-Y., Goyal P., Girshick R., He K., Dollár P. Focal loss for dense object detection. ICCV "
    "2017. arXiv:1708.02002.",
    "Liu 2020": "Liu R. Higher accuracy on vision models with EfficientNet-Lite. TensorFlow Blog, 2020.",
    "Loshchilov & Hutter 2017": "Loshchilov I., Hutter F. SGDR: stochastic gradient descent with warm restarts. ICLR "
    "2017. arXiv:1608.03983.",
    "Loshchilov & Hutter 2019": "Loshchilov I., Hutter F. Decoupled weight decay regularization. ICLR 2019. "
    "arXiv:1711.05101.",
    "McNemar 1947": "McNemar Q. Note on the sampling error of the difference between correlated proportions or "
    "percentages. Psychometrika 12 (1947), 153–157.",
    "Menon et al. 2021": "Menon A. K., Jayasumana S., Rawat A. S., Jain H., Veit A., Kumar S. Long-tail learning via "
    "logit adjustment. ICLR 2021. arXiv:2007.07314.",
    "Nadeau & Bengio 2003": "Nadeau C., Bengio Y. Inference for the generalization error. Machine Learning 52 (2003), "
    "239–281.",
    "Northcutt et al. 2021": "Northcutt C. G., Jiang L., Chuang I. L. Confident learning: estimating uncertainty in "
    "dataset labels. Journal of Artificial Intelligence Research 70 (2021), 1373–1411. arXiv:1911.00068.",
    "Obuchowski & Rockette 1995": "Obuchowski N. A., Rockette H. E. Hypothesis testing of diagnostic accuracy for "
    "multiple readers and multiple tests. Communications in Statistics 24 (1995), 285–308.",
    "Satterthwaite 1946": "Satterthwaite F. E. An approximate distribution of estimates of variance components. "
    "Biometrics Bulletin 2 (1946), 110–114.",
    "See et al. 2019": "See J., Yap M. H., Li J., Hong X., Wang S.-J. MEGC 2019 – the second facial micro-expressions "
    "grand challenge. FG 2019.",
    "Simonyan & Zisserman 2015": "Simonyan K., Zisserman A. Very deep convolutional networks for large-scale image "
    "recognition. ICLR 2015. arXiv:1409.1556.",
    "Smith & Topin 2019": "Smith L. N., Topin N. Super-convergence: very fast training of neural networks using large "
    "learning rates. SPIE 11006 (2019). arXiv:1708.07120.",
    "Srivastava et al. 2014": "Srivastava N., Hinton G., Krizhevsky A., Sutskever I., Salakhutdinov R. Dropout: a "
    "simple way to prevent neural networks from overfitting. Journal of Machine Learning Research 15 (2014), "
    "1929–1958.",
    "Szegedy et al. 2016": "Szegedy C., Vanhoucke V., Ioffe S., Shlens J., Wojna Z. Rethinking the Inception "
    "architecture for computer vision. CVPR 2016. arXiv:1512.00567.",
    "Tan & Le 2019": "Tan M., Le Q. V. EfficientNet: rethinking model scaling for convolutional neural networks. ICML "
    "2019. arXiv:1905.11946.",
    "Turk & Pentland 1991": "Turk M., Pentland A. Eigenfaces for recognition. Journal of Cognitive Neuroscience 3 "
    "(1991), 71–86.",
    "Wang et al. 2020": "Wang Q., Wu B., Zhu P., Li P., Zuo W., Hu Q. ECA-Net: efficient channel attention for deep "
    "convolutional neural networks. CVPR 2020. arXiv:1910.03151.",
    "Weerahandi 1993": "Weerahandi S. Generalized confidence intervals. Journal of the American Statistical "
    "Association 88 (1993), 899–905.",
    "Williams & Seeger 2001": "Williams C. K. I., Seeger M. Using the Nyström method to speed up kernel machines. "
    "NIPS 2000 (2001).",
    "Wilson 1927": "Wilson E. B. Probable inference, the law of succession, and statistical inference. Journal of the "
    "American Statistical Association 22 (1927), 209–212.",
    "Wolpert 1992": "Wolpert D. H. Stacked generalization. Neural Networks 5 (1992), 241–259.",
    "Woo et al. 2018": "Woo S., Park J., Lee J.-Y., Kweon I. S. CBAM: convolutional block attention module. ECCV 2018. "
    "arXiv:1807.06521.",
    "Wortsman et al. 2022": "Wortsman M., Ilharco G., Gadre S. Y. and others. Model soups: averaging weights of "
    "multiple fine-tuned models improves accuracy without increasing inference time. ICML 2022. arXiv:2203.05482.",
    "Zagoruyko & Komodakis 2017": "Zagoruyko S., Komodakis N. DiracNets: training very deep neural networks without "
    "skip-connections. arXiv:1706.00388 (2017).",
    "Zhu et al. 2009": "Zhu J., Zou H., Rosset S., Hastie T. Multi-class AdaBoost. Statistics and Its Interface 2 "
    "(2009), 349–360.",
}


def cited(text: str) -> list[str]:
    """The references whose words stand in `text`, by author."""
    return [full for words, full in sorted(REFERENCES.items()) if words in text]
