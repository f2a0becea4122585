"""All keywords of `input.nn` that n2p2 and RuNNer know, and what they mean for an energy.

Sources: n2p2's `Settings.cpp` (git 61daa0df); RuNNer's `readkeywords.f90` (2008 to 2019, also as
part of md_tian2) and its documentation of version 1.3. Both codes tell the case of letters apart.
"""

from __future__ import annotations

ALIASES = {
    "symfunction": "symfunction_short",
    "nnp_generation": "nnp_type",
    "nnp_type_gen": "nnp_type",
    "nnp_gen": "nnp_type",
    "nn_type": "nn_type_short",
    "global_nodes_short_atomic": "global_nodes_short",
}
REPEATED = ("symfunction_short", "atom_energy", "element_nodes_short")
"""Keywords that may occur several times."""

FLAGS = (
    "scale_symmetry_functions",
    "center_symmetry_functions",
    "scale_symmetry_functions_sigma",
    "normalize_nodes",
    "remove_atom_energies",
)
"""Keywords without values: their presence means true, even for `normalize_nodes 0`."""

READ = frozenset(
    {
        *REPEATED,
        *FLAGS,
        "mean_energy",
        "conv_energy",
        "conv_length",
        "number_of_elements",
        "elements",
        "cutoff_type",
        "cutoff_alpha",
        "nnp_type",
        "nn_type_short",
        "scale_min_short",
        "scale_max_short",
        "scale_min_short_atomic",
        "scale_max_short_atomic",
        "global_hidden_layers_short",
        "global_nodes_short",
        "global_activation_short",
        "element_hidden_layers_short",
        "element_activation_short",
    }
)
"""Keywords that change an energy and are honoured."""

_ELECTROSTATICS = "electrostatic energies"
_DISPERSION = "dispersion energies"
_WRITTEN_OUT = "functions that are not written out"
_PAIRS = "networks of pairs"
_NEW_RUNNER = "potentials of RuNNer 2"

REFUSED = {
    **dict.fromkeys(
        ("use_electrostatics", "use_electrostatic_nn", "use_fixed_charges"), _ELECTROSTATICS
    ),
    **dict.fromkeys(("use_vdw", "use_vdW", "vdw_type", "vdW_type", "nn_type_vdw"), _DISPERSION),
    "use_hamiltonian": "tight-binding Hamiltonians",
    **dict.fromkeys(
        (
            "global_symfunction_short",
            "global_symfunction_short_atomic",
            "element_symfunction_short",
            "element_symfunction_short_atomic",
        ),
        _WRITTEN_OUT,
    ),
    **dict.fromkeys(
        (
            "pairsymfunction_short",
            "element_pairsymfunction_short",
            "global_pairsymfunction_short",
            "global_symfunction_short_pair",
        ),
        _PAIRS,
    ),
    "node_activation_short": "activations of single nodes",
    **dict.fromkeys(
        (
            "scale_feature_maps",
            "center_feature_maps",
            "default_nodes",
            "default_activation_nn",
            "model_type_short",
            *(f"fc_{name}" for name in ("hard", "cosine", "tanh1", "tanh2", "exp", "poly1")),
            *(f"fc_poly{n}" for n in (2, 3, 4)),
        ),
        _NEW_RUNNER,
    ),
}
"""Keywords that change an energy and are not supported, with their meaning."""

_BOTH = """
    charge_fraction epochs kalman_epsilon kalman_q0 kalman_qmin kalman_qtau
    nguyen_widrow_weights_short parallel_mode precondition_weights random_seed
    repeated_energy_update screen_electrostatics
    short_energy_error_threshold short_energy_fraction short_force_error_threshold
    short_force_fraction test_fraction use_old_weights_charge use_old_weights_short use_short_forces
    weights_max weights_min write_traincharges write_trainforces write_trainpoints
    write_weights_epoch kalman_lambda_short kalman_nue_short
    global_hidden_layers_electrostatic global_nodes_electrostatic global_activation_electrostatic
    element_hidden_layers_electrostatic element_nodes_electrostatic
    element_activation_electrostatic fixed_gausswidth initial_hardness ewald_prec
"""
"""Keywords that both know and that change no energy of a short-range potential."""

N2P2_ONLY = frozenset(
    """
    conv_charge ewald_truncation_error_method four_pi_epsilon
    normalize_data_set rmse_threshold rmse_threshold_energy rmse_threshold_force
    rmse_threshold_charge rmse_threshold_trials rmse_threshold_trials_energy
    rmse_threshold_trials_force rmse_threshold_trials_charge energy_fraction force_fraction
    force_energy_ratio nguyen_widrow_weights_charge main_error_metric write_neuronstats
    write_trainlog updater_type jacobian_mode update_strategy selection_mode
    selection_mode_energy selection_mode_force selection_mode_charge task_batch_size_energy
    task_batch_size_force task_batch_size_charge gradient_type gradient_eta gradient_adam_eta
    gradient_adam_beta1 gradient_adam_beta2 gradient_adam_epsilon kalman_type kalman_eta
    kalman_etatau kalman_etamax memorize_symfunc_results force_weight
    mean_energy conv_energy conv_length scale_symmetry_functions_sigma
    """.split()
)
"""Keywords of n2p2 that RuNNer does not know."""

RUNNER_ONLY = frozenset(
    """
    analyze_composition analyze_error analyze_error_charge_step analyze_error_energy_step
    analyze_error_force_step atom_mass biasweights_max biasweights_min bond_threshold
    calculate_final_force calculate_forces calculate_frequencies calculate_hessian
    calculate_normalmodes calculate_stress charge_error_threshold charge_group
    charge_grouping_by_structure charge_update_scaling check_forces check_input_forces
    cutoff_vdw data_clustering debug_mode detailed_timing detailed_timing_epoch
    detect_saturation dynamic_force_grouping electrostatic_type element_decoupled_forces_v2
    element_decoupled_kalman enable_on_the_fly_input energy_threshold
    enforce_max_num_neighbors_atomic enforce_totcharge environment_analysis ewald_alpha
    ewald_cutoff ewald_kmax find_contradictions fitmode fitting_unit fix_weights fixed_charge
    fixed_short_energy_error_threshold fixed_short_force_error_threshold
    force_grouping_by_structure force_threshold force_update_scaling
    global_symfunction_elec global_symfunction_electrostatic element_symfunction_electrostatic
    symfunction_electrostatic growth_mode initialization_only ion_forces_only
    joint_energy_force_update kalman_damp_charge kalman_damp_force kalman_damp_short
    kalman_lambda_charge kalman_lambda_charge_constraint kalman_nue_charge
    kalman_nue_charge_constraint max_energy max_force maxnum_extrapolation_warnings md_mode
    mix_all_points nblock nguyen_widrow_weights_ewald nn_type_elec nn_type_nntb noise_charge
    noise_energy noise_force optmode_charge optmode_short_energy optmode_short_force
    points_in_memory prepare_md print_all_deshortdw print_all_dfshortdw
    print_all_electrostatic_weights print_all_short_weights print_convergence_vector
    print_date_and_time print_force_components print_mad print_sensitivity random_number_type
    random_order_training read_kalman_matrices read_unformatted reset_kalman restrict_weights
    runner_mode save_kalman_matrices scale_max_elec scale_max_short_pair scale_min_elec
    scale_min_short_pair separate_bias_ini_short separate_kalman_short short_energy_group
    short_force_group shuffle_weights_short_atomic silent_mode steepest_descent_step_charge
    steepest_descent_step_energy_short steepest_descent_step_force_short
    symfunction_correlation total_charge_error_threshold update_single_element
    update_worst_charges update_worst_short_energies update_worst_short_forces use_atom_charges
    use_atom_energies use_charge_constraint use_damping use_gausswidth use_noisematrix use_ipi
    use_old_scaling use_omp_mkl use_sf_groups use_short_nn use_systematic_weights_electrostatic
    use_systematic_weights_short vdw_coefficient vdW_coefficient vdw_screening vdW_screening
    vdw_param vdw_screening weight_analysis weight_constraint weighte_constraint weightse_max
    weightse_min write_binding_energy_only write_fit_statistics write_pdb write_pov write_pwscf
    write_symfunctions write_temporary_weights write_unformatted write_xyz
    global_hidden_layers_pair global_nodes_pair global_nodes_short_pair global_activation_pair
    element_hidden_layers_pair element_nodes_pair element_activation_pair
    global_output_nodes_short global_output_nodes_electrostatic global_output_nodes_pair
    cutoff_alpha remove_atom_energies nn_type_short nn_type scale_min_short_atomic
    scale_max_short_atomic global_nodes_short_atomic
    """.split()
)
"""Keywords of RuNNer that n2p2 does not know; without the electrostatics, dispersion or pairs of
:data:`REFUSED` none but those of :data:`READ` changes an energy."""

KNOWN = frozenset({*ALIASES, *READ, *REFUSED, *_BOTH.split(), *N2P2_ONLY, *RUNNER_ONLY})
"""Everything that either code understands."""
